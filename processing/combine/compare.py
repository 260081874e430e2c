"""Compare two results for the same object: which particles both have, and which only one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.combine.coarse import Hypothesis
from processing.combine.pose import Indices, Pose, mutual_pairs, refine_pose
from processing.combine.pose_fit import PAIRED_WITHIN, PoseFit, Reference, same_pose, score_pose
from processing.combine.register import all_fits, fit_all_pairs
from processing.series import Float64

ROTATIONS = (Hypothesis.SAME_SIDE, Hypothesis.FLIPPED)
"""Sides that the same object may show: the other one, if A and B were swapped. No mirror image."""
AS_WELL = 0.99
"""Closeness of a second pose, in those of the best, from which the two fit equally well."""
FEWEST_PAIRED = 0.4
"""Smallest paired share of the smaller result for which both show the same object."""
CLEAR_SHARE, CLEAR_LEAD = 0.6, 1.5
"""Paired share, and closeness over that of every other pose, either of which shows that a pose is
no chance. Two objects that have nothing in common are paired about as well by several poses."""


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
    ambiguous
        True if another pose pairs the particles equally well, as in a symmetrical object: which
        of them differ is not certain then.
    by_chance
        True if few are paired and other poses pair about as many: two different objects.
    """

    both: int
    only_first: Indices
    only_second: Indices
    rms_nm: float
    second_nm: Float64
    ambiguous: bool
    by_chance: bool


def compare_particles(
    first_nm: Float64, second_nm: Float64, diameter_nm: float
) -> Difference | None:
    """Compare centres [n, 3] (x, y, z) of two results; None if they show different objects.

    The volumes may differ in place and size, since each may have been cropped and centred for
    itself, and in side, if A and B were swapped. Particles are the same within a quarter of their
    diameter. An icosahedral or fcc assembly fits itself nearly as well after each of its symmetry
    operations. Therefore all poses are tried, and the one with the most pairs at the smallest
    distances is taken.
    """
    smaller = min(len(first_nm), len(second_nm))
    if smaller == 0:
        return None
    fits = _fits(first_nm, second_nm, diameter_nm)
    best = fits[0]
    pose = fit_all_pairs(first_nm, second_nm, best.pose, diameter_nm)
    moved = pose.apply(second_nm)
    in_first, in_second = mutual_pairs(first_nm, moved, PAIRED_WITHIN * diameter_nm)
    if len(in_first) < FEWEST_PAIRED * smaller:
        return None
    others = [fit.closeness for fit in fits if not same_pose(fit, best, diameter_nm)]
    distances = np.linalg.norm(first_nm[in_first] - moved[in_second], axis=1)
    return Difference(
        len(in_first),
        np.setdiff1d(np.arange(len(first_nm)), in_first),
        np.setdiff1d(np.arange(len(second_nm)), in_second),
        float(np.sqrt(np.mean(distances**2))),
        moved,
        any(closeness >= AS_WELL * best.closeness for closeness in others),
        len(in_first) < CLEAR_SHARE * smaller
        and any(CLEAR_LEAD * closeness > best.closeness for closeness in others),
    )


def _fits(first_nm: Float64, second_nm: Float64, diameter_nm: float) -> list[PoseFit]:
    """Return all poses of the second, the best first; of equal ones, its own place comes first."""
    first = Reference.of(first_nm, diameter_nm)
    own_place = refine_pose(first.tree, second_nm, Pose(np.eye(3), np.zeros(3)), diameter_nm)
    fits = [score_pose(first, second_nm, Hypothesis.SAME_SIDE, own_place)]
    if min(len(first_nm), len(second_nm)) > 1:
        found = all_fits(first_nm, second_nm, diameter_nm)
        fits += [fit for fit in found if fit.hypothesis in ROTATIONS]
    return sorted(fits, key=lambda fit: -round(fit.closeness, 6))
