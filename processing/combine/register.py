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
from processing.combine.envelope import Envelope
from processing.combine.pose import (
    Pose,
    fit_scaled_pose,
    in_plane_and_seat_deg,
    mutual_pairs,
    refine_pose,
)
from processing.errors import OppositeSenseError, RegistrationRefusedError, UnclearPoseError
from processing.parallel import each_in_threads
from processing.series import Float64

PAIRED_WITHIN = 0.25
"""Largest distance between two centres of the same particle, in diameters."""
SMALLEST_SHARE = 0.4
"""Smallest paired share of the particles for which A and B are the same object."""
OUTLINE_POWER = 16
"""Exponent of the outline overlap in the score. A lattice step reduces the overlap by only a few
per cent, but a wrong pose may pair 10 % more particles on a noisy exit side."""
CLEAR_SHARE = 0.6
"""Smallest paired share that shows how B was put back. In tilt steps too coarse for a crystal many
particles are in wrong places of its lattice. Half of them fit the mirror image, too."""
MARGIN = 1.02
"""Factor by which another hypothesis must beat the flipped one. It is above 1 because a crystal can
be its own mirror image."""
NEARLY_AS_MANY = 0.8
"""Share of the pairs of the best hypothesis with which the flipped one fits nearly as well."""
FEWEST_PARTICLES = 4
"""Fewest particles in A and in B: three pairs fix a pose, a fourth can contradict it."""


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
    """

    pose: Pose
    share: float
    runner_up: float
    rms_nm: float
    in_plane_deg: float
    seat_tilt_deg: float


@dataclass(frozen=True)
class _Fit:
    hypothesis: Hypothesis
    pose: Pose
    share: float
    agreement: float
    """Paired share with each pair weighted by 1 - (distance / largest distance)^2, times the
    overlap of the outlines to the power of `OUTLINE_POWER`."""


@dataclass(frozen=True)
class _Reference:
    """Series A, prepared for comparison with many poses of B."""

    tree: cKDTree
    envelope: Envelope
    diameter_nm: float


def register(points_a: Float64, points_b: Float64, diameter_nm: float) -> RegistrationResult:
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
    fits = _all_fits(points_a, points_b, diameter_nm)
    best = next(fit for fit in fits if fit.hypothesis is Hypothesis.FLIPPED)
    _refuse_unless_flipped(best, fits[0])
    share, rms_nm = paired_share(points_a, points_b, best.pose, diameter_nm)
    others = [fit.share for fit in fits if not _same_pose(fit, best, diameter_nm)]
    in_plane_deg, seat_tilt_deg = in_plane_and_seat_deg(best.pose.matrix)
    return RegistrationResult(
        fit_all_pairs(points_a, points_b, best.pose, diameter_nm),
        share,
        max(others, default=0.0),
        rms_nm,
        in_plane_deg,
        seat_tilt_deg,
    )


def fit_all_pairs(points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float) -> Pose:
    """Fit a pose that is nearly right, scale included, to all pairs by least squares."""
    for _ in range(3):
        pairs_a, pairs_b = mutual_pairs(points_a, pose.apply(points_b), PAIRED_WITHIN * diameter_nm)
        if len(pairs_a) < FEWEST_PARTICLES:
            return pose
        pose = fit_scaled_pose(points_a[pairs_a], points_b[pairs_b])
    return pose


def _all_fits(points_a: Float64, points_b: Float64, diameter_nm: float) -> list[_Fit]:
    """Refine the candidates of every hypothesis; return them best first."""
    a = _Reference(cKDTree(points_a), Envelope(points_a, diameter_nm), diameter_nm)

    def refined(candidate: Candidate) -> _Fit:
        # B is mirrored back first, so that the motion left to fit is a rotation
        mirror = candidate.hypothesis.mirror
        start = Pose(candidate.pose.matrix @ mirror, candidate.pose.shift_nm)
        pose = refine_pose(a.tree, points_b @ mirror, start, diameter_nm)
        return _scored_fit(a, points_b, candidate.hypothesis, pose)

    fits = each_in_threads(refined, coarse_candidates(points_a, points_b, diameter_nm))
    winners = [
        max((fit for fit in fits if fit.hypothesis is hypothesis), key=lambda fit: fit.agreement)
        for hypothesis in Hypothesis
    ]
    for winner in winners:
        if winner.share < SMALLEST_SHARE:
            continue
        fits += _neighbouring_fits(a, points_b, winner)
    return sorted(fits, key=lambda fit: -fit.agreement)


def _neighbouring_fits(a: _Reference, points_b: Float64, fit: _Fit) -> list[_Fit]:
    """Try poses shifted by one step to a neighbouring particle; repeat while they improve."""
    found: list[_Fit] = []
    unmirrored = points_b @ fit.hypothesis.mirror
    steps = _neighbour_steps(a.tree, a.diameter_nm)

    def stepped(step: Float64, fit: _Fit) -> _Fit:
        start = replace(fit.pose, shift_nm=fit.pose.shift_nm + step)
        pose = refine_pose(a.tree, unmirrored, start, a.diameter_nm, steps=4)
        return _scored_fit(a, points_b, fit.hypothesis, pose)

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


def paired_share(
    points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float
) -> tuple[float, float]:
    """Return the paired share of the particles and the rms distance of the pairs, nm."""
    squares = _squared_distances(cKDTree(points_a), points_b, pose, diameter_nm)
    share = 2 * len(squares) / (len(points_a) + len(points_b))
    return share, float(np.sqrt(squares.mean())) if len(squares) else 0.0


def _scored_fit(a: _Reference, points_b: Float64, hypothesis: Hypothesis, pose: Pose) -> _Fit:
    unmirrored = points_b @ hypothesis.mirror
    squares = _squared_distances(a.tree, unmirrored, pose, a.diameter_nm)
    mean_number = (a.tree.n + len(points_b)) / 2
    weight = 1 - squares / (PAIRED_WITHIN * a.diameter_nm) ** 2
    outline = a.envelope.overlap(pose.apply(unmirrored)) ** OUTLINE_POWER
    agreement = float(weight.sum() / mean_number) * outline
    return _Fit(hypothesis, pose, len(squares) / mean_number, agreement)


def _squared_distances(
    tree_a: cKDTree, points_b: Float64, pose: Pose, diameter_nm: float
) -> Float64:
    """Return the squared distances of the pairs, nm^2."""
    moved = pose.apply(points_b)
    pairs_a, pairs_b = mutual_pairs(tree_a, moved, PAIRED_WITHIN * diameter_nm)
    return np.asarray(((tree_a.data[pairs_a] - moved[pairs_b]) ** 2).sum(axis=1), np.float64)


def _same_pose(fit: _Fit, best: _Fit, diameter_nm: float) -> bool:
    if fit.hypothesis is not best.hypothesis:
        return False
    rotation = np.linalg.norm(fit.pose.matrix - best.pose.matrix)
    shift_nm = np.linalg.norm(fit.pose.shift_nm - best.pose.shift_nm)
    return bool(rotation < 0.1 and shift_nm < 0.5 * diameter_nm)


def _refuse_unless_flipped(flipped: _Fit, winner: _Fit) -> None:
    """Refuse any winner that is not the flipped A, and say what fits instead.

    Reversing the tilt sense mirrors a volume along the beam. A flipped grid with the opposite sense
    is therefore the same motion as an unflipped grid with a mirrored scan.
    """
    if winner.share < SMALLEST_SHARE:
        raise UnclearPoseError(
            f"B does not fit A: at best {winner.share:.0%} of the particles are paired, "
            f"{winner.hypothesis.value}, but {SMALLEST_SHARE:.0%} are needed; either B shows "
            "another object than A, or the tilt axis or the angles of one of them are wrong"
        )
    if winner.agreement < MARGIN * flipped.agreement:
        return
    shares = (
        f"{winner.share:.0%} of the particles are paired so, {flipped.share:.0%} as a flipped A"
    )
    if winner.share < CLEAR_SHARE:
        raise UnclearPoseError(
            f"B fits A in no pose well: at best {winner.hypothesis.value} ({shares}). Either many "
            "particles of A or of B are in wrong places, or the angles of one series have the "
            "wrong sign, or its scan is mirrored, or the grid was not flipped; check the counts of "
            "A and of B first"
        )
    if flipped.share > NEARLY_AS_MANY * winner.share:
        mirrored = winner.hypothesis is Hypothesis.MIRRORED
        kind = OppositeSenseError if mirrored else RegistrationRefusedError
        raise kind(
            f"B fits A flipped and {winner.hypothesis.value} nearly alike ({shares}): the object "
            "is almost its own mirror image. Either the tilt angles of one series have the wrong "
            "sign, or what tells both apart is hidden or cut off in one series; check the angles, "
            "then use --region or fewer tilts, or process each series alone"
        )
    match winner.hypothesis:
        case Hypothesis.SAME_SIDE:
            raise RegistrationRefusedError(
                f"B fits A {winner.hypothesis.value} ({shares}): the grid was not flipped between "
                "them; flip it and record B again, or process each series alone"
            )
        case Hypothesis.MIRRORED:
            raise OppositeSenseError(
                f"B fits A flipped with the opposite tilt sense ({shares}): reverse the sign of "
                "the angles of the series whose sense is wrong. If both are right, the scan "
                "settings differ: B has a mirrored scan, and the grid was not flipped"
            )
        case _:
            raise RegistrationRefusedError(
                f"B fits A {winner.hypothesis.value} ({shares}): one of them has a mirrored scan, "
                "or the opposite tilt sense and the grid was not flipped; correct scan settings "
                "or angles, or process each series alone"
            )
