"""Divide the particles of a field into those of the object and those beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from processing.series import Bools, Float32, Float64

OWN_SHARE = 0.9
"""Share of the images in whose outline of the object a particle of it lies for certain."""
OTHER_SHARE = 0.7
"""Share below which a particle certainly lies beside the object."""
CONTACT_DIAMETERS = 1.6
"""Largest distance of two particles of one object."""


def outline_share(places_px: Float64, masks: Float32) -> Float64:
    """Return the share of the images in whose masks [view, y, x] each particle lies, [n].

    The field holds the object: a particle beyond the field's edge lies outside the mask.
    """
    last = np.array(masks.shape[1:]) - 1
    seen = ((places_px >= 0) & (places_px <= last)).all(axis=2)
    y, x = np.moveaxis(np.clip(np.rint(places_px), 0, last).astype(int), 2, 0)
    inside = masks[np.arange(len(masks))[:, None], y, x] > 0.5
    return np.asarray((inside & seen).mean(axis=0), np.float64)


def divide_particles(
    centres_nm: Float64,
    places_px: Float64,
    masks: Float32,
    clear: Bools,
    diameter_nm: float,
    particles: Bools,
) -> Bools:
    """Return the candidates [n] that belong to the object.

    Parameters
    ----------
    places_px
        Centres in the images, [view, n, (y, x)].
    masks
        Outline of the object in the images, [view, y, x].
    clear
        Images in which nothing overlaps the object, [view].
    particles
        Candidates with the amplitude of a particle, [n].
    """
    chosen = clear if clear.any() else np.ones_like(clear)
    share = outline_share(places_px[chosen], masks[chosen])
    own, other = share >= OWN_SHARE, share < OTHER_SHARE
    tree = cKDTree(centres_nm)
    pairs = tree.query_pairs(CONTACT_DIAMETERS * diameter_nm, output_type="ndarray")
    length = np.linalg.norm(np.diff(centres_nm[pairs], axis=1)[:, 0], axis=1)
    graph = coo_matrix((length, pairs.T), shape=(len(centres_nm),) * 2).tocsr()
    to_own, to_other = (
        _distance(graph, np.flatnonzero(seeds & particles)) for seeds in (own, other)
    )
    return np.asarray(np.isfinite(to_own) & (to_own < to_other), bool)


def _distance(graph: csr_matrix, seeds: NDArray[np.intp]) -> Float64:
    """Return the distance along contacts to the nearest of the seeds."""
    if not len(seeds):
        return np.full(graph.shape[0], np.inf)
    return np.asarray(dijkstra(graph, directed=False, indices=seeds, min_only=True))
