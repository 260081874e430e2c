"""Fit of one pose of B: paired particles, their distances, and the overlap of the outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.combine.coarse import Hypothesis
from processing.combine.envelope import Envelope
from processing.combine.pose import Pose, mutual_pairs
from processing.series import Float64

PAIRED_WITHIN = 0.25
"""Largest distance between two centres of the same particle, in diameters."""
OUTLINE_POWER = 16
"""Exponent of the outline overlap in the score. A lattice step reduces the overlap by only a few
per cent, but a wrong pose may pair 10 % more particles on a noisy exit side."""
KEPT_POSES = 4
"""Poses of each hypothesis that are compared again when more of B is known."""


@dataclass(frozen=True)
class PoseFit:
    """One pose of B, refined, and how well it fits.

    Attributes
    ----------
    pose
        Pose of B after the mirror of the hypothesis is undone.
    share
        Number of pairs over the mean number of particles in A and B.
    closeness
        Paired share with each pair weighted by 1 - (distance / largest distance)^2.
    agreement
        Closeness, times the overlap of the outlines to the power of `OUTLINE_POWER`.
    """

    hypothesis: Hypothesis
    pose: Pose
    share: float
    closeness: float
    agreement: float


@dataclass(frozen=True)
class Reference:
    """Series A, prepared for comparison with many poses of B."""

    tree: cKDTree
    envelope: Envelope
    diameter_nm: float

    @classmethod
    def of(cls, points_a: Float64, diameter_nm: float) -> Reference:
        """Prepare the particles of A, [n, 3] (x, y, z), nm."""
        return cls(cKDTree(points_a), Envelope(points_a, diameter_nm), diameter_nm)


def paired_share(
    points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float
) -> tuple[float, float]:
    """Return the paired share of the particles and the rms distance of the pairs, nm."""
    squares = _squared_distances(cKDTree(points_a), points_b, pose, diameter_nm)
    share = 2 * len(squares) / (len(points_a) + len(points_b))
    return share, float(np.sqrt(squares.mean())) if len(squares) else 0.0


def score_pose(a: Reference, points_b: Float64, hypothesis: Hypothesis, pose: Pose) -> PoseFit:
    """Measure how well B's particles [n, 3], nm, fit A in a pose."""
    unmirrored = points_b @ hypothesis.mirror
    squares = _squared_distances(a.tree, unmirrored, pose, a.diameter_nm)
    mean_number = (a.tree.n + len(points_b)) / 2
    weight = 1 - squares / (PAIRED_WITHIN * a.diameter_nm) ** 2
    outline = a.envelope.overlap(pose.apply(unmirrored)) ** OUTLINE_POWER
    closeness = float(weight.sum() / mean_number)
    return PoseFit(hypothesis, pose, len(squares) / mean_number, closeness, closeness * outline)


def _squared_distances(
    tree_a: cKDTree, points_b: Float64, pose: Pose, diameter_nm: float
) -> Float64:
    """Return the squared distances of the pairs, nm^2."""
    moved = pose.apply(points_b)
    pairs_a, pairs_b = mutual_pairs(tree_a, moved, PAIRED_WITHIN * diameter_nm)
    return np.asarray(((tree_a.data[pairs_a] - moved[pairs_b]) ** 2).sum(axis=1), np.float64)


def same_pose(fit: PoseFit, best: PoseFit, diameter_nm: float) -> bool:
    """Return true if two fits have the same hypothesis and nearly the same pose."""
    if fit.hypothesis is not best.hypothesis:
        return False
    rotation = np.linalg.norm(fit.pose.matrix - best.pose.matrix)
    shift_nm = np.linalg.norm(fit.pose.shift_nm - best.pose.shift_nm)
    return bool(rotation < 0.1 and shift_nm < 0.5 * diameter_nm)


def different_poses(fits: Sequence[PoseFit], diameter_nm: float) -> list[PoseFit]:
    """Return the `KEPT_POSES` best poses of each hypothesis that differ from one another."""
    kept: list[PoseFit] = []
    for fit in sorted(fits, key=lambda fit: -fit.agreement):
        own = [other for other in kept if other.hypothesis is fit.hypothesis]
        if len(own) < KEPT_POSES and not any(same_pose(fit, other, diameter_nm) for other in own):
            kept.append(fit)
    return kept
