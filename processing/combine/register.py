"""Registration of B onto A through the flip, on matched particle centres.

An ordered assembly fits itself nearly as well one lattice vector, or one symmetry, away. So every
candidate of the coarse search is refined, each winner is tried one neighbour's step further in
every direction, and what counts in the end is how many of all particles find a partner, how near,
and how well the outlines agree: the outermost layer, the small disorder of every real lattice and
the flat side tell the right optimum from the others. The unflipped and the mirrored hypotheses run
the same course; B is refused where one of them wins.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from processing.combine.coarse import Hypothesis, coarse_candidates
from processing.combine.envelope import Envelope
from processing.combine.pose import (
    Pose,
    fit_scaled_pose,
    in_plane_and_seat_deg,
    mutual_pairs,
    refine_pose,
)
from processing.errors import RegistrationRefusedError
from processing.series import Float64

PAIRED_WITHIN = 0.25
"""Two centres this near, in diameters, are the same particle."""
LEAST_SHARE = 0.4
"""Share of paired particles under which A and B are not the same object."""
ENVELOPE_POWER = 16
"""Weight of the outlines: the few per cent that one lattice step takes off their overlap must
outweigh the tenth by which a noisy exit side may pair better in a wrong place."""
MARGIN = 1.02
"""By how much another hypothesis must win: a crystal can be its own mirror image."""
FEWEST_PARTICLES = 4
"""Three pairs fix a pose; a fourth can contradict it."""


@dataclass(frozen=True)
class RegistrationResult:
    """B onto A.

    Attributes
    ----------
    pose
        p_A = scale * matrix . p_B + shift_nm.
    share
        Particles paired, over the mean number of particles in A and B.
    runner_up
        The best share at any other optimum or hypothesis.
    rms_nm
        Distance of the pairs.
    in_plane_deg, seat_tilt_deg
        Of p_B = Rz(phi) . Rseat . F . p_A.
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
    """The share, each pair weighted by 1 - (distance / largest distance)^2, times the overlap of
    the outlines to the `ENVELOPE_POWER`."""


@dataclass(frozen=True)
class _Reference:
    """A, as every pose of B is compared with it."""

    tree: cKDTree
    envelope: Envelope
    diameter_nm: float


def register(points_a: Float64, points_b: Float64, diameter_nm: float) -> RegistrationResult:
    """Find B's pose from the particle centres [n, 3] (x, y, z), nm, of both.

    Raises
    ------
    RegistrationRefusedError
        Too few particles, too few of them paired, or an unflipped or mirrored B fits better.
    """
    for name, points in (("A", points_a), ("B", points_b)):
        if len(points) < FEWEST_PARTICLES:
            raise RegistrationRefusedError(
                f"{name} shows {len(points)} particles, at least {FEWEST_PARTICLES} are needed to "
                "bring B onto A; process the series one by one"
            )
    fits = _all_fits(points_a, points_b, diameter_nm)
    best = next(fit for fit in fits if fit.hypothesis is Hypothesis.FLIPPED)
    _refuse_unless_flipped(best, fits[0])
    share, rms_nm = paired_share(points_a, points_b, best.pose, diameter_nm)
    others = [fit.share for fit in fits if not _same_optimum(fit, best, diameter_nm)]
    in_plane_deg, seat_tilt_deg = in_plane_and_seat_deg(best.pose.matrix)
    return RegistrationResult(
        polish(points_a, points_b, best.pose, diameter_nm),
        share,
        max(others, default=0.0),
        rms_nm,
        in_plane_deg,
        seat_tilt_deg,
    )


def polish(points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float) -> Pose:
    """Least squares over all pairs of a pose that is right already, scale included."""
    for _ in range(3):
        pairs_a, pairs_b = mutual_pairs(points_a, pose.apply(points_b), PAIRED_WITHIN * diameter_nm)
        if len(pairs_a) < FEWEST_PARTICLES:
            return pose
        pose = fit_scaled_pose(points_a[pairs_a], points_b[pairs_b])
    return pose


def _all_fits(points_a: Float64, points_b: Float64, diameter_nm: float) -> list[_Fit]:
    """Refined candidates of every hypothesis, best first."""
    a = _Reference(cKDTree(points_a), Envelope(points_a, diameter_nm), diameter_nm)
    fits = []
    for candidate in coarse_candidates(points_a, points_b, diameter_nm):
        # a mirrored B is mirrored first, so that what is left to find is a rotation
        mirror = candidate.hypothesis.mirror
        start = Pose(candidate.pose.matrix @ mirror, candidate.pose.shift_nm)
        pose = refine_pose(a.tree, points_b @ mirror, start, diameter_nm)
        fits.append(_judged(a, points_b, candidate.hypothesis, pose))
    winners = [
        max((fit for fit in fits if fit.hypothesis is hypothesis), key=lambda fit: fit.agreement)
        for hypothesis in Hypothesis
    ]
    for winner in winners:
        if winner.share < LEAST_SHARE:
            continue
        fits += _neighbouring_fits(a, points_b, winner)
    return sorted(fits, key=lambda fit: -fit.agreement)


def _neighbouring_fits(a: _Reference, points_b: Float64, fit: _Fit) -> list[_Fit]:
    """The optima one step to a neighbouring particle away, as long as they improve."""
    found: list[_Fit] = []
    moved = points_b @ fit.hypothesis.mirror
    steps = _neighbour_steps(a.tree, a.diameter_nm)
    for _ in range(4):
        tried = []
        for step in steps:
            start = replace(fit.pose, shift_nm=fit.pose.shift_nm + step)
            pose = refine_pose(a.tree, moved, start, a.diameter_nm, steps=4)
            tried.append(_judged(a, points_b, fit.hypothesis, pose))
        found += tried
        best = max(tried, key=lambda trial: trial.agreement, default=fit)
        if best.agreement <= fit.agreement:
            break
        fit = best
    return found


def _neighbour_steps(tree: cKDTree, diameter_nm: float) -> Float64:
    """The commonest steps from a particle to a neighbour, [12, 3]; none for a handful."""
    pairs = tree.query_pairs(1.6 * diameter_nm, output_type="ndarray")[:50_000]
    if len(pairs) < 100:
        return np.zeros((0, 3))
    steps = tree.data[pairs[:, 0]] - tree.data[pairs[:, 1]]
    both_ways = np.concatenate([steps, -steps])
    return np.asarray(kmeans2(both_ways, 12, minit="++", seed=0)[0], np.float64)


def paired_share(
    points_a: Float64, points_b: Float64, pose: Pose, diameter_nm: float
) -> tuple[float, float]:
    """Share of the particles that find a partner, and the pairs' rms distance, nm."""
    square = _pair_squares(cKDTree(points_a), points_b, pose, diameter_nm)
    share = 2 * len(square) / (len(points_a) + len(points_b))
    return share, float(np.sqrt(square.mean())) if len(square) else 0.0


def _judged(a: _Reference, points_b: Float64, hypothesis: Hypothesis, pose: Pose) -> _Fit:
    unmirrored = points_b @ hypothesis.mirror
    square = _pair_squares(a.tree, unmirrored, pose, a.diameter_nm)
    mean_number = (a.tree.n + len(points_b)) / 2
    weight = 1 - square / (PAIRED_WITHIN * a.diameter_nm) ** 2
    outline = a.envelope.overlap(pose.apply(unmirrored)) ** ENVELOPE_POWER
    agreement = float(weight.sum() / mean_number) * outline
    return _Fit(hypothesis, pose, len(square) / mean_number, agreement)


def _pair_squares(tree_a: cKDTree, points_b: Float64, pose: Pose, diameter_nm: float) -> Float64:
    """Squared distances of the pairs, nm^2."""
    moved = pose.apply(points_b)
    pairs_a, pairs_b = mutual_pairs(tree_a, moved, PAIRED_WITHIN * diameter_nm)
    return np.asarray(((tree_a.data[pairs_a] - moved[pairs_b]) ** 2).sum(axis=1), np.float64)


def _same_optimum(fit: _Fit, best: _Fit, diameter_nm: float) -> bool:
    if fit.hypothesis is not best.hypothesis:
        return False
    turned = np.linalg.norm(fit.pose.matrix - best.pose.matrix)
    moved_nm = np.linalg.norm(fit.pose.shift_nm - best.pose.shift_nm)
    return bool(turned < 0.1 and moved_nm < 0.5 * diameter_nm)


def _refuse_unless_flipped(flipped: _Fit, winner: _Fit) -> None:
    if winner.share < LEAST_SHARE:
        raise RegistrationRefusedError(
            f"B is another object than A: {flipped.share:.0%} of the particles find a partner at "
            f"the best flipped pose, {LEAST_SHARE:.0%} are needed; check that both series show "
            "the same assembly"
        )
    if winner.agreement < MARGIN * flipped.agreement:
        return
    advice = {
        Hypothesis.SAME_SIDE: "the grid was not flipped; flip it and record B again",
        Hypothesis.MIRRORED: "the grid was not flipped and the scan settings were changed",
        Hypothesis.MIRRORED_FLIPPED: "the scan settings or the tilt sense differ between A and B",
    }[winner.hypothesis]
    raise RegistrationRefusedError(
        f"B is A {winner.hypothesis.value}: {winner.share:.0%} of the particles find a partner "
        f"that way, {flipped.share:.0%} as a flipped A; {advice}"
    )
