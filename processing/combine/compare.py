"""Compare two results for the same object: which particles both have, and which only one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.combine.coarse import Hypothesis, coarse_candidates
from processing.combine.pose import Indices, Pose, mutual_pairs, refine_pose
from processing.combine.pose_fit import PAIRED_WITHIN
from processing.combine.register import fit_all_pairs
from processing.series import Float64

SURELY_PAIRED = 0.9
"""Paired share of the smaller result from which its own place needs no search."""
FEWEST_PAIRED = 0.4
"""Smallest paired share of the smaller result for which both show the same object."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Particles of two results, the second moved onto the first.

    Attributes
    ----------
    both
        Number of particles that both have.
    only_first, only_second
        Indices of the others in their own tables.
    rms_nm
        Distance between the two places of a common particle, rms (nm).
    second_nm
        Centres [n, 3] (x, y, z) of the second in the frame of the first (nm).
    """

    both: int
    only_first: Indices
    only_second: Indices
    rms_nm: float
    second_nm: Float64


def compare_particles(
    first_nm: Float64, second_nm: Float64, diameter_nm: float
) -> Difference | None:
    """Compare centres [n, 3] (x, y, z) of two results; None if they show different objects.

    The volumes may differ in place and size, since each may have been cropped and centred for
    itself. Particles are the same within a quarter of their diameter.
    """
    pose = _pose(first_nm, second_nm, diameter_nm)
    if pose is None:
        return None
    moved = pose.apply(second_nm)
    in_first, in_second = mutual_pairs(first_nm, moved, PAIRED_WITHIN * diameter_nm)
    distances = np.linalg.norm(first_nm[in_first] - moved[in_second], axis=1)
    return Difference(
        len(in_first),
        np.setdiff1d(np.arange(len(first_nm)), in_first),
        np.setdiff1d(np.arange(len(second_nm)), in_second),
        float(np.sqrt(np.mean(distances**2))),
        moved,
    )


def _pose(first_nm: Float64, second_nm: Float64, diameter_nm: float) -> Pose | None:
    """Return the motion of the second onto the first; None if too few particles are paired."""
    number = min(len(first_nm), len(second_nm))
    if number == 0:
        return None
    tree = cKDTree(first_nm)

    def refined(start: Pose) -> tuple[int, Pose]:
        pose = refine_pose(tree, second_nm, start, diameter_nm)
        pairs, _ = mutual_pairs(tree, pose.apply(second_nm), PAIRED_WITHIN * diameter_nm)
        return len(pairs), pose

    paired, pose = refined(Pose(np.eye(3), np.zeros(3)))
    if paired < SURELY_PAIRED * number and number > 1:
        starts = [
            candidate.pose
            for candidate in coarse_candidates(first_nm, second_nm, diameter_nm)
            if candidate.hypothesis is Hypothesis.SAME_SIDE
        ]
        paired, pose = max(((paired, pose), *map(refined, starts)), key=lambda found: found[0])
    if paired < FEWEST_PAIRED * number:
        return None
    return fit_all_pairs(first_nm, second_nm, pose, diameter_nm)
