"""Rigid fit (rotation and shift, no mirror) of found particle centres to the true ones.

Some particles have no partner. The origin of a particle table depends on its alignment, so the
shift is unknown by several nm. In an ordered assembly this is more than one lattice vector.
The fit takes the shift that pairs the most particles: with any other shift, a layer of particles
at the surface has no partners.
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

MAX_ROTATION_DEG = 5.0
_VOTE_CELL_NM = 0.5
"""Cell of the vote histogram: small against the blur, so a shift between cells loses little."""
_VOTE_BLUR_NM = 1.0
_MAX_CANDIDATES = 40
_SAMPLE_SIZE = 1500
_MOST_UNPAIRED = 0.5
"""Particles without a partner, divided by n^(2/3), up to which no other shift can pair more.

A shift by a lattice vector takes the partners from a layer at the surface, at least 1.2 n^(2/3)."""
_MAX_PARTNER_DISTANCE_NM = 3.0
"""Largest distance of a pair that the fit uses while it iterates."""


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """q = matrix . p + shift_nm; det(matrix) is +1."""

    matrix: Array
    shift_nm: Array

    def __call__(self, points_nm: Array) -> Array:
        """Transform points [n, 3], nm."""
        return np.asarray(points_nm @ self.matrix.T + self.shift_nm)

    @property
    def rotation_deg(self) -> float:
        """Rotation angle."""
        return float(np.rad2deg(Rotation.from_matrix(self.matrix).magnitude()))


def match_particles(truth_nm: Array, found_nm: Array, tolerance_nm: float) -> tuple[Index, Index]:
    """Pair points that are mutual nearest neighbours within the tolerance, nm.

    Returns indices into `truth_nm` and into `found_nm`. If the true particles are further apart
    than twice the tolerance, no other pairing has more pairs.
    """
    if not len(truth_nm) or not len(found_nm):
        none = np.empty(0, np.intp)
        return none, none
    return _match(cKDTree(truth_nm), found_nm, tolerance_nm)


def _match(truth: cKDTree, found_nm: Array, tolerance_nm: float) -> tuple[Index, Index]:
    distance, nearest = truth.query(found_nm, distance_upper_bound=tolerance_nm)
    paired = np.flatnonzero(np.isfinite(distance))
    # only a point with a partner can be its partner's nearest
    nearest_found = cKDTree(found_nm).query(np.asarray(truth.data)[nearest[paired]])[1]
    mutual = nearest_found == paired
    return nearest[paired[mutual]], paired[mutual]


def fit_rigid(
    truth_nm: Array, found_nm: Array, search_nm: float, tolerance_nm: float
) -> RigidTransform | None:
    """Fit `found_nm` [n, 3] onto `truth_nm` [m, 3].

    Searches shifts up to `search_nm` around the difference of the centres of mass. Returns None
    if no fit has a rotation within `MAX_ROTATION_DEG`.
    """
    tree = cKDTree(truth_nm)
    step = max(1, len(found_nm) // _SAMPLE_SIZE)
    sample = found_nm[::step]
    best, most_pairs = None, 0
    possible = min(len(truth_nm), len(found_nm))
    for shift in _candidate_shifts(tree, found_nm, search_nm):
        rigid = _refine(tree, sample, RigidTransform(np.eye(3), shift))
        if rigid is None or rigid.rotation_deg > MAX_ROTATION_DEG:
            continue
        pairs = len(_match(tree, rigid(found_nm), tolerance_nm)[0])
        if pairs > most_pairs:
            best, most_pairs = rigid, pairs
        if possible - most_pairs <= _MOST_UNPAIRED * possible ** (2 / 3):
            break
    return None if best is None else _refine(tree, found_nm, best)


def _candidate_shifts(tree: cKDTree, found_nm: Array, search_nm: float) -> Array:
    """Return the shifts [k, 3] with the most votes among the differences truth - found.

    All particles vote: inside a lattice every lattice vector fits as well as no shift, and only
    the particles at the surface tell them apart.
    """
    truth_nm: Array = np.asarray(tree.data)
    rough: Array = truth_nm.mean(axis=0) - found_nm.mean(axis=0)
    moved = found_nm + rough
    near = tree.query_ball_point(moved, search_nm)
    owners = np.repeat(np.arange(len(moved)), [len(each) for each in near])
    if not len(owners):
        return rough[None]
    differences = truth_nm[np.concatenate([each for each in near if each]).astype(int)]
    differences = differences - moved[owners]
    edges = np.arange(-search_nm - _VOTE_CELL_NM, search_nm + 1.5 * _VOTE_CELL_NM, _VOTE_CELL_NM)
    votes = np.histogramdd(differences, (edges,) * 3)[0]
    votes = gaussian_filter(votes, _VOTE_BLUR_NM / _VOTE_CELL_NM)
    peaks = np.argwhere((votes == maximum_filter(votes, 3)) & (votes > 0))
    peaks = peaks[np.argsort(-votes[tuple(peaks.T)])[:_MAX_CANDIDATES]]
    return np.asarray(rough + edges[peaks] + _VOTE_CELL_NM / 2.0)


def _refine(tree: cKDTree, found_nm: Array, start: RigidTransform) -> RigidTransform | None:
    """Refine the fit by iterative closest points, from the core outwards; None if it fails."""
    rigid = start
    radius = np.linalg.norm(found_nm - found_nm.mean(axis=0), axis=1)
    for core, rounds in ((0.5, 3), (0.75, 3), (1.0, 6)):
        part = found_nm[radius <= core * radius.max()]
        for _ in range(rounds):
            moved = rigid(part)
            distance, nearest = tree.query(moved, distance_upper_bound=_MAX_PARTNER_DISTANCE_NM)
            near = np.isfinite(distance)
            if near.sum() < 4:
                return None
            # wrong pairs are among the distant ones
            near &= distance <= max(0.5, 2.0 * float(np.median(distance[near])))
            rigid = _kabsch(part[near], np.asarray(tree.data)[nearest[near]])
    return rigid


def _kabsch(points_nm: Array, onto_nm: Array) -> RigidTransform:
    """Return the least-squares rotation (det +1) and shift (Kabsch 1976)."""
    centre, target = points_nm.mean(axis=0), onto_nm.mean(axis=0)
    u, _, vt = np.linalg.svd((points_nm - centre).T @ (onto_nm - target))
    proper = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    matrix = vt.T @ proper @ u.T
    return RigidTransform(matrix, target - matrix @ centre)
