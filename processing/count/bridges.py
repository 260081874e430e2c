"""Neighbouring spheres without a gap between them: parts of one longer particle.

Particles in an assembly are kept apart by their ligands, and the volume is darker between two of
them. Spheres that fill a rod have no such gap along the rod.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from processing.series import Bools, Float32, Float64

REACH = 1.45
"""Largest distance of neighbours, in diameters."""
FILLED = 0.93
"""Density between two centres from which there is no gap, in densities at the centres."""
ALONG_BEAM = 0.6
"""Largest cosine between a pair and the beam: gaps along the beam are blurred."""
STEPS = 9
"""Points between two centres."""
FEWEST = 10
"""Fewest pairs that tell anything."""


@dataclass(frozen=True)
class Bridges:
    """Pairs of neighbours without a gap.

    Attributes
    ----------
    pair_share
        Share of the neighbouring pairs that have no gap, 0 to 1.
    particle_share
        Share of the spheres with at least one such neighbour.
    chain_nm
        Usual length of the chains that such pairs form, from end to end (nm).
    """

    pair_share: float = 0.0
    particle_share: float = 0.0
    chain_nm: float = 0.0


def find_bridges(
    volume: Float32, centres_nm: Float64, diameter_nm: float, pixel_nm: float, looked_at: Bools
) -> Bridges:
    """Find the pairs of neighbouring spheres between which the volume shows no gap.

    Parameters
    ----------
    volume
        Reconstruction [z, y, x].
    centres_nm
        [n, 3] as (x, y, z) from the centre of the volume.
    looked_at
        Spheres [n] that the volume shows sharply.
    """
    if len(centres_nm) < FEWEST:
        return Bridges()
    pairs = cKDTree(centres_nm).query_pairs(REACH * diameter_nm, output_type="ndarray")
    first, other = centres_nm[pairs[:, 0]], centres_nm[pairs[:, 1]]
    between = other - first
    lengths = np.linalg.norm(between, axis=1)
    across = np.abs(between[:, 2]) < ALONG_BEAM * lengths
    kept = across & looked_at[pairs].all(axis=1)
    pairs, first, between = pairs[kept], first[kept], between[kept]
    if len(pairs) < FEWEST:
        return Bridges()
    along = np.linspace(0, 1, STEPS)
    places_nm = first[:, None] + along[:, None] * between[:, None]
    middle = (np.array(volume.shape) - 1) / 2
    places = (places_nm[..., ::-1] / pixel_nm + middle).reshape(-1, 3).T
    density = ndimage.map_coordinates(volume, places, order=1, mode="nearest").reshape(-1, STEPS)
    ends = np.minimum(density[:, :2].max(axis=1), density[:, -2:].max(axis=1))
    filled = density[:, 2:-2].min(axis=1) >= FILLED * ends
    bridged = pairs[filled]
    with_one = np.zeros(len(centres_nm), bool)
    with_one[bridged.ravel()] = True
    seen = np.unique(pairs)
    return Bridges(
        float(filled.mean()),
        float(with_one[seen].mean()),
        _chain_nm(bridged, centres_nm, diameter_nm),
    )


def _chain_nm(bridged: np.ndarray, centres_nm: Float64, diameter_nm: float) -> float:
    """Return the median length of the chains of bridged spheres; a diameter without any."""
    if not len(bridged):
        return diameter_nm
    number = len(centres_nm)
    ones = np.ones(len(bridged))
    graph = coo_matrix((ones, tuple(bridged.T)), shape=(number, number))
    _, groups = connected_components(graph, directed=False)
    members = np.bincount(groups)
    lengths = []
    for group in np.flatnonzero(members > 1):
        places = centres_nm[groups == group]
        reach = np.linalg.norm(places[:, None] - places[None], axis=2).max()
        lengths.append(reach + diameter_nm)
    return float(np.median(lengths))
