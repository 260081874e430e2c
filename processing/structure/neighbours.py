"""Neighbours of each particle from its Voronoi cell, and the particles at the surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from processing.parallel import worker_threads
from processing.series import Bools, Float64

BOX_MARGIN = 4.0
"""Free space around the assembly in the box of the Voronoi cells, in spacings."""
OPEN_CELL = 1.5
"""Volume of the smallest open cell, in median cells of closed ones. A missed neighbour makes a cell
larger by a twelfth."""
LOOSE_CELL = 1.0
"""Largest usual volume of a closed cell, in cubes of the spacing; that of fcc is 0.71."""
FIRST_SHELL = (0.8, 1.6)
"""Range in which the end of the first shell is searched, in spacings."""
SHELL_BINS = 80
PEAK_SMOOTHING, MINIMUM_SMOOTHING = 2.0, 4.0
"""Widths by which the pair density is smoothed, in bins of a hundredth of the spacing."""
FLAT = 0.05
"""Largest rise of the pair density above its minimum, over the height of the first maximum, that
belongs to the minimum. It is flat: in a crystal there is nothing between the shells, in a
disordered packing little."""
SHELL_NEIGHBOURS = 24
"""Nearest neighbours whose distances are used; in fcc the third shell begins after 18."""
SHELL_SAMPLE = 3000
"""Largest number of particles whose distances are used."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Neighbours of every particle: those that share a face and lie in the first shell.

    Attributes
    ----------
    pairs
        [pair, 2], particle and neighbour; each pair stands there in both orders, sorted.
    distance_nm
        [pair].
    number
        [n], coordination number.
    at_surface
        [n], true if the Voronoi cell is open to the outside.
    interior
        [n], true if the cells of the particle and of its neighbours are closed; if there is no such
        particle, true for all closed cells, or for all cells.
    volume_nm3
        [n], volume of the Voronoi cell; meaningless at the surface.
    cell_nm3
        Mean volume of the Voronoi cells in the interior.
    spacing_nm
        Most frequent distance of neighbours.
    shell_end_nm
        First minimum of g(r), where the first shell ends.
    """

    pairs: NDArray[np.int64]
    distance_nm: Float64
    number: NDArray[np.int64]
    at_surface: Bools
    interior: Bools
    volume_nm3: Float64
    cell_nm3: float
    spacing_nm: float
    shell_end_nm: float

    def mean_distance_nm(self) -> Float64:
        """Return each particle's mean distance of its neighbours; NaN without neighbours."""
        total = np.bincount(self.pairs[:, 0], self.distance_nm, len(self.number))
        unknown = np.full(len(self.number), np.nan)
        mean = np.divide(total, self.number, out=unknown, where=self.number > 0)
        return np.asarray(mean, np.float64)


def find_neighbours(centres_nm: Float64, spacing_nm: float, shell_end_nm: float) -> Neighbours:
    """Find the neighbours of each of the centres [n, 3], with what `first_shell` found."""
    from freud.locality import Voronoi
    from freud.parallel import NumThreads

    voronoi = Voronoi()
    with NumThreads(worker_threads()):
        voronoi.compute(system_of(centres_nm, BOX_MARGIN * spacing_nm))
    faces = voronoi.nlist
    inside = np.asarray(faces.distances) < shell_end_nm
    pairs = np.column_stack([faces.query_point_indices, faces.point_indices])[inside]
    volume = np.asarray(voronoi.volumes, np.float64)
    closed_nm3 = _closed_volume(volume, spacing_nm)
    at_surface = volume > OPEN_CELL * closed_nm3
    interior = _interior(at_surface, pairs)
    return Neighbours(
        pairs.astype(np.int64),
        np.asarray(faces.distances, np.float64)[inside],
        np.bincount(pairs[:, 0], minlength=len(centres_nm)),
        at_surface,
        interior,
        volume,
        closed_nm3 if at_surface.all() else float(np.mean(volume[interior])),
        spacing_nm,
        shell_end_nm,
    )


def number_layers(neighbours: Neighbours) -> NDArray[np.int64]:
    """Return each particle's number of steps from the surface, plus 1; 0 where none leads there."""
    here, there = neighbours.pairs.T
    layer = neighbours.at_surface.astype(np.int64)
    newest = neighbours.at_surface
    number = 1
    while newest.any():
        number += 1
        newest = _beside(newest, here, there) & (layer == 0)
        layer[newest] = number
    return layer


def system_of(centres_nm: Float64, margin_nm: float) -> tuple[Any, NDArray[np.float32]]:
    """Return box and points for freud: a box so wide that its sides do not see each other."""
    from freud.box import Box

    low, high = centres_nm.min(axis=0), centres_nm.max(axis=0)
    sides = high - low + 2 * margin_nm
    return Box(*sides), (centres_nm - (low + high) / 2).astype(np.float32)


def first_shell(centres_nm: Float64) -> tuple[float, float]:
    """Return spacing and end of the first shell: first maximum and minimum of the pair density.

    The end is the middle of the flat minimum: its lowest bin is one of many, by chance.
    """
    drawn = np.random.default_rng(0).permutation(len(centres_nm))[:SHELL_SAMPLE]
    most = min(SHELL_NEIGHBOURS, len(centres_nm) - 1)
    distance = cKDTree(centres_nm).query(centres_nm[drawn], most + 1)[0][:, 1:]
    nearest = float(np.median(distance[:, :3]))
    edges = nearest * np.linspace(*FIRST_SHELL, SHELL_BINS + 1)
    pairs = np.histogram(distance, edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    density = pairs / middle**2
    peaked = ndimage.gaussian_filter1d(density, PEAK_SMOOTHING)
    peak = int(peaked[middle < 1.3 * nearest].argmax())
    smooth = ndimage.gaussian_filter1d(density, MINIMUM_SMOOTHING)
    lowest = peak + int(smooth[peak:].argmin())
    flat = smooth <= smooth[lowest] + FLAT * (smooth[peak] - smooth[lowest])
    parts = ndimage.label(flat)[0]
    return float(middle[peak]), float(middle[parts == parts[lowest]].mean())


def _interior(at_surface: Bools, pairs: NDArray[np.int64]) -> Bools:
    beside = np.zeros(len(at_surface), bool)
    beside[pairs[at_surface[pairs[:, 1]], 0]] = True
    for chosen in (~at_surface & ~beside, ~at_surface):
        if chosen.any():
            return chosen
    return np.ones(len(at_surface), bool)


def _closed_volume(volume_nm3: Float64, spacing_nm: float) -> float:
    """Return the median volume of closed cells.

    The first guess is the lowest tenth of all cells, and no larger than those of loose packings:
    in small assemblies most or all cells are open.
    """
    guess = min(float(np.quantile(volume_nm3, 0.1)), LOOSE_CELL * spacing_nm**3)
    likely = volume_nm3[volume_nm3 <= OPEN_CELL * guess]
    return float(np.median(likely)) if len(likely) else guess


def _beside(members: Bools, here: NDArray[np.int64], there: NDArray[np.int64]) -> Bools:
    found = np.zeros(len(members), bool)
    found[there[members[here]]] = True
    return found
