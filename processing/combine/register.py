"""Registration of B onto A through the flip, from the particle centres of both.

An ordered assembly also fits itself nearly as well after a shift by a lattice vector or after a
symmetry operation. Therefore every candidate of the coarse search is refined, and the best pose of
each hypothesis is tried again after a step to each neighbouring particle. The final choice depends
on the number of paired particles, their distances, and the overlap of the outlines. The outermost
layer, the small disorder of every real lattice and the flat side distinguish the right pose from
the others. The unflipped and mirrored hypotheses are treated in the same way; B is refused if one
of them wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from processing.combine.coarse import Candidate, Hypothesis, coarse_candidates
from processing.combine.flip_verdict import (
    CLEAR_SHARE,
    SMALLEST_SHARE,
    is_beaten,
    refuse_unless_flipped,
)
from processing.combine.pose import (
    Pose,
    fit_pose,
    fit_scaled_pose,
    in_plane_and_seat_deg,
    mutual_pairs,
    refine_pose,
)
from processing.combine.pose_fit import (
    PAIRED_WITHIN,
    PoseFit,
    Reference,
    different_poses,
    paired_share,
    same_pose,
    score_pose,
)
from processing.device import CPU, Device
from processing.errors import RegistrationRefusedError
from processing.parallel import each_in_threads
from processing.series import Float64

FEWEST_PARTICLES = 4
"""Fewest particles in A and in B: three pairs fix a pose, a fourth can contradict it."""
NEAR_STEPS = 4
"""Steps of the refinement of a pose that is nearly right."""
PAIRS_FOR_SIZE = 12
"""Fewest pairs near the middle that show another size: to 1 % with places 0.3 nm off."""
SIZE_STEPS = 8
"""Steps from the pairs near the middle, where a wrong scale moves little, to those at the rim."""
LARGEST_LOSS = 0.1
"""Largest loss of the paired share at which a pose found before still holds."""


@dataclass(frozen=True)
class RegistrationResult:
    """Registration of B onto A.

    Attributes
    ----------
    pose
        p_A = scale * matrix . p_B + shift_nm.
    share
        Number of pairs over the mean number of particles in A and B.
    runner_up
        Highest share at any other pose or hypothesis.
    rms_nm
        Root mean square distance of the pairs.
    in_plane_deg, seat_tilt_deg
        Angles of p_B = Rz(phi) . Rseat . F . p_A.
    compared
        The best poses of every hypothesis that differ from one another, best first.
    """

    pose: Pose
    share: float
    runner_up: float
    rms_nm: float
    in_plane_deg: float
    seat_tilt_deg: float
    compared: tuple[PoseFit, ...] = ()


def register(
    points_a: Float64, points_b: Float64, diameter_nm: float, *, device: Device = CPU
) -> RegistrationResult:
    """Find the pose of B from the particle centres [n, 3] (x, y, z), nm, of both series.

    Raises
    ------
    RegistrationRefusedError
        There are too few particles, or an unflipped or mirrored B fits better.
    UnclearPoseError
        Too few particles are paired in any pose.
    OppositeSenseError
        B fits with the tilt sense of one series reversed.
    """
    for name, points in (("A", points_a), ("B", points_b)):
        if len(points) < FEWEST_PARTICLES:
            raise RegistrationRefusedError(
                f"{name} shows {len(points)} particles, but registration of B onto A needs at "
                f"least {FEWEST_PARTICLES}; process each series alone"
            )
    fits = all_fits(points_a, points_b, diameter_nm, device=device)
    best = next(fit for fit in fits if fit.hypothesis is Hypothesis.FLIPPED)
    refuse_unless_flipped(best, fits[0])
    return _result(points_a, points_b, best, fits, diameter_nm)


def register_again(
    points_a: Float64, points_b: Float64, diameter_nm: float, earlier: RegistrationResult
) -> RegistrationResult | None:
    """Compare the poses of an earlier registration again, with the particles of B known now.

    Parameters are those of `register`, which takes ten times as long.

    Returns
    -------
    None if these poses do not settle the question: the pose found earlier fits worse than before,
    or no longer best.
    """
    if len(points_b) < FEWEST_PARTICLES:
        return None
    a = Reference.of(points_a, diameter_nm)

    def refined(known: PoseFit) -> PoseFit:
        mirrored_back = points_b @ known.hypothesis.mirror
        pose = refine_pose(a.tree, mirrored_back, known.pose, diameter_nm, steps=NEAR_STEPS)
        return score_pose(a, points_b, known.hypothesis, pose)

    fits = sorted(each_in_threads(refined, earlier.compared), key=lambda fit: -fit.agreement)
    best = next(fit for fit in fits if fit.hypothesis is Hypothesis.FLIPPED)
    if is_beaten(best, fits[0]) or not same_pose(best, earlier.compared[0], diameter_nm):
        return None
    if best.share < max(CLEAR_SHARE, earlier.share - LARGEST_LOSS):
        return None
    return _result(points_a, points_b, best, fits, diameter_nm)


def _result(
    points_a: Float64, points_b: Float64, best: PoseFit, fits: list[PoseFit], diameter_nm: float
) -> RegistrationResult:
    """Return the registration in the best of all fits, with its pose fitted to all pairs."""
    share, rms_nm = paired_share(points_a, points_b, best.pose, diameter_nm)
    others = [fit for fit in fits if not same_pose(fit, best, diameter_nm)]
    in_plane_deg, seat_tilt_deg = in_plane_and_seat_deg(best.pose.matrix)
    return RegistrationResult(
        fit_all_pairs(points_a, points_b, best.pose, diameter_nm),
        share,
        max((fit.share for fit in others), default=0.0),
        rms_nm,
        in_plane_deg,
        seat_tilt_deg,
        (best, *different_poses(others, diameter_nm)),
    )


def fit_all_pairs(points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float) -> Pose:
    """Fit a pose that is nearly right, scale included, to all pairs by least squares."""
    for _ in range(3):
        pairs_a, pairs_b = mutual_pairs(points_a, pose.apply(points_b), PAIRED_WITHIN * diameter_nm)
        if len(pairs_a) < FEWEST_PARTICLES:
            return pose
        pose = fit_scaled_pose(points_a[pairs_a], points_b[pairs_b])
    return pose


def relative_size(points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float) -> float:
    """Return the size of the object in A over that in B, from the pairs of their particles.

    `pose` is nearly right; its scale is limited to what beams do to a specimen. The size found here
    is not, since another pixel size can change it by more. 1.0 for fewer than `PAIRS_FOR_SIZE`
    pairs.
    """
    for _ in range(SIZE_STEPS):
        pairs_a, pairs_b = mutual_pairs(points_a, pose.apply(points_b), PAIRED_WITHIN * diameter_nm)
        if len(pairs_a) < PAIRS_FOR_SIZE:
            return 1.0
        pose = fit_pose(points_a[pairs_a], points_b[pairs_b], with_scale=True)
    return pose.scale


def all_fits(
    points_a: Float64, points_b: Float64, diameter_nm: float, *, device: Device = CPU
) -> list[PoseFit]:
    """Refine the candidates of every hypothesis; return them best first.

    Centres are [n, 3] (x, y, z), nm, at least one of each.
    """
    a = Reference.of(points_a, diameter_nm)

    def refined(candidate: Candidate) -> PoseFit:
        # B is mirrored back first, so that the motion left to fit is a rotation
        mirror = candidate.hypothesis.mirror
        start = Pose(candidate.pose.matrix @ mirror, candidate.pose.shift_nm)
        pose = refine_pose(a.tree, points_b @ mirror, start, diameter_nm)
        return score_pose(a, points_b, candidate.hypothesis, pose)

    candidates = coarse_candidates(points_a, points_b, diameter_nm, device=device)
    fits = each_in_threads(refined, candidates)
    winners = [
        max((fit for fit in fits if fit.hypothesis is hypothesis), key=lambda fit: fit.agreement)
        for hypothesis in Hypothesis
    ]
    likely = [winner for winner in winners if winner.share >= SMALLEST_SHARE]
    steps = _neighbour_steps(a.tree, diameter_nm) if likely else np.zeros((0, 3))
    for winner in likely:
        fits += _neighbouring_fits(a, points_b, winner, steps)
    return sorted(fits, key=lambda fit: -fit.agreement)


def _neighbouring_fits(
    a: Reference, points_b: Float64, fit: PoseFit, steps: Float64
) -> list[PoseFit]:
    """Try poses shifted by one of the steps [n, 3] to a neighbour; repeat while they improve."""
    found: list[PoseFit] = []
    unmirrored = points_b @ fit.hypothesis.mirror

    def stepped(step: Float64, fit: PoseFit) -> PoseFit:
        start = replace(fit.pose, shift_nm=fit.pose.shift_nm + step)
        pose = refine_pose(a.tree, unmirrored, start, a.diameter_nm, steps=NEAR_STEPS)
        return score_pose(a, points_b, fit.hypothesis, pose)

    for _ in range(4):
        tried = each_in_threads(partial(stepped, fit=fit), steps)
        found += tried
        best = max(tried, key=lambda trial: trial.agreement, default=fit)
        if best.agreement <= fit.agreement:
            break
        fit = best
    return found


def _neighbour_steps(tree: cKDTree, diameter_nm: float) -> Float64:
    """Return the 12 most frequent vectors to a neighbour, [12, 3]; none for under 100 pairs."""
    pairs = tree.query_pairs(1.6 * diameter_nm, output_type="ndarray")[:50_000]
    if len(pairs) < 100:
        return np.zeros((0, 3))
    steps = tree.data[pairs[:, 0]] - tree.data[pairs[:, 1]]
    both_ways = np.concatenate([steps, -steps])
    return np.asarray(kmeans2(both_ways, 12, minit="++", seed=0)[0], np.float64)
