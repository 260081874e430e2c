"""One proper rigid fit between two sets of particle centres, of which some have no partner.

A table's origin is a matter of its alignment, so the shift is unknown by several nm, which in an
ordered assembly is more than one lattice vector. The shift that pairs the most particles is
taken: every other one leaves a layer of the envelope without partners.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Index = NDArray[np.intp]

LARGEST_TURN_DEG = 5.0
_CELL_NM = 0.5
"""Of the votes' grid: fine against the blur, so that a shift between cells loses little."""
_BLUR_NM = 1.0
_CANDIDATES = 40
_SAMPLE = 1500
_REACH_NM = 3.0
"""Partners this far apart still pull while the fit is under way."""


@dataclass(frozen=True, eq=False)
class Rigid:
    """q = matrix . p + shift_nm; det(matrix) is +1."""

    matrix: Array
    shift_nm: Array

    def __call__(self, points_nm: Array) -> Array:
        """Move points [n, 3]."""
        return np.asarray(points_nm @ self.matrix.T + self.shift_nm)

    @property
    def turn_deg(self) -> float:
        """Angle of the rotation."""
        return float(np.rad2deg(Rotation.from_matrix(self.matrix).magnitude()))


def partners(truth_nm: Array, found_nm: Array, tolerance_nm: float) -> tuple[Index, Index]:
    """Pair points that are each other's nearest within the tolerance: indices into both.

    Where true particles are further apart than twice the tolerance no pairing is larger.
    """
    if not len(truth_nm) or not len(found_nm):
        nobody = np.empty(0, np.intp)
        return nobody, nobody
    distance, nearest = cKDTree(truth_nm).query(found_nm, distance_upper_bound=tolerance_nm)
    back = cKDTree(found_nm).query(truth_nm)[1]
    here = np.flatnonzero(np.isfinite(distance))
    here = here[back[nearest[here]] == here]
    return nearest[here], here


def fit(truth_nm: Array, found_nm: Array, search_nm: float, tolerance_nm: float) -> Rigid | None:
    """Bring `found_nm` onto `truth_nm`, searching shifts `search_nm` about the centres of mass.

    Returns None where nothing fits within `LARGEST_TURN_DEG`.
    """
    tree = cKDTree(truth_nm)
    step = max(1, len(found_nm) // _SAMPLE)
    sample = found_nm[::step]
    best, most = None, 0
    for shift in _likely_shifts(tree, found_nm, search_nm):
        rigid = _refine(tree, sample, Rigid(np.eye(3), shift))
        if rigid is None or rigid.turn_deg > LARGEST_TURN_DEG:
            continue
        paired = len(partners(truth_nm, rigid(found_nm), tolerance_nm)[0])
        if paired > most:
            best, most = rigid, paired
    return None if best is None else _refine(tree, found_nm, best)


def _likely_shifts(tree: cKDTree, found_nm: Array, search_nm: float) -> Array:
    """Shifts [k, 3] at which many differences between truth and table agree.

    The whole table votes: in the core of a lattice every lattice vector does as well as no shift
    at all, and only the envelope's particles tell them apart.
    """
    truth_nm: Array = np.asarray(tree.data)
    rough: Array = truth_nm.mean(axis=0) - found_nm.mean(axis=0)
    moved = found_nm + rough
    near = tree.query_ball_point(moved, search_nm)
    owners = np.repeat(np.arange(len(moved)), [len(some) for some in near])
    if not len(owners):
        return rough[None]
    differences = truth_nm[np.concatenate([some for some in near if some]).astype(int)]
    differences = differences - moved[owners]
    edges = np.arange(-search_nm - _CELL_NM, search_nm + 1.5 * _CELL_NM, _CELL_NM)
    votes = np.histogramdd(differences, (edges,) * 3)[0]
    votes = gaussian_filter(votes, _BLUR_NM / _CELL_NM)
    peaks = np.argwhere((votes == maximum_filter(votes, 3)) & (votes > 0))
    peaks = peaks[np.argsort(-votes[tuple(peaks.T)])[:_CANDIDATES]]
    return np.asarray(rough + edges[peaks] + _CELL_NM / 2.0)


def _refine(tree: cKDTree, found_nm: Array, start: Rigid) -> Rigid | None:
    """Iterate closest points and Kabsch, from the core outwards."""
    rigid = start
    radius = np.linalg.norm(found_nm - found_nm.mean(axis=0), axis=1)
    for reach, rounds in ((0.5, 3), (0.75, 3), (1.0, 6)):
        part = found_nm[radius <= reach * radius.max()]
        for _ in range(rounds):
            moved = rigid(part)
            distance, nearest = tree.query(moved, distance_upper_bound=_REACH_NM)
            near = np.isfinite(distance)
            if near.sum() < 4:
                return None
            # the further half of the partners is where the wrong ones are
            near &= distance <= max(0.5, 2.0 * float(np.median(distance[near])))
            rigid = _kabsch(part[near], np.asarray(tree.data)[nearest[near]])
    return rigid


def _kabsch(points_nm: Array, onto_nm: Array) -> Rigid:
    """Least-squares rotation and shift (Kabsch 1976), det +1."""
    here, there = points_nm.mean(axis=0), onto_nm.mean(axis=0)
    u, _, vt = np.linalg.svd((points_nm - here).T @ (onto_nm - there))
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = vt.T @ proper @ u.T
    return Rigid(matrix, there - matrix @ here)
