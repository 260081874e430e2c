"""Detection of particles of a given shape: from a volume and images to table, count and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from processing.combine.pose import Pose
from processing.count.interval import count_with_interval, widen_by_wrong_places
from processing.count.particles import confidence, plateau
from processing.device import CPU, Device
from processing.files.particles import NO_PARTICLES, ParticleTable
from processing.fit.evidence import Evidence, no_evidence
from processing.fit.spheres import SphereFit
from processing.pipeline.detect import Detection, require_few_candidates
from processing.pipeline.fitness import measure_fitness
from processing.pipeline.verdict import judge, with_verdict, wrong_share
from processing.progress import Progress, silent, within
from processing.results import Cause, Diameter, Shape, Trust, Verdict
from processing.series import Float32, Float64, TiltSeries
from processing.shapes.bodies import NO_BODIES, Bodies
from processing.shapes.body import Body
from processing.shapes.fit import BodyFit, fit_bodies
from processing.shapes.orientations import prevailing_orientations
from processing.shapes.search import (
    Search,
    prepare_search,
    search_volume,
)

FIRST_ROUNDS = 2
"""Rounds of the fit after which the volume is searched again beside the certain bodies."""
POOR = 0.05
"""Unexplained share from which another start of the search is tried."""
FAINT, BRIGHT = 0.75, 1.4
"""Amplitudes beyond which a body may be none, or two; in amplitudes of a typical one."""
ODD = 2.5
"""Unexplained share beyond which a body may be in a wrong place or orientation, in usual ones."""
LEAST_ODD = 0.1
"""Unexplained share below which no body is odd."""
WRONG_IF_ODD, WRONG_ELSE = 0.5, 0.01
"""Chance that an odd body is wrong, and another."""
MANY_ODD = 0.02
"""Share of odd bodies above which a count is doubtful."""
WELL_EXPLAINED = 0.015
"""Unexplained share near a typical body up to which its shape and size may be right.

Bodies of the true shape leave 0 to 0.6 %, cubes given for octahedra 2.3 % and the reverse 4 %. One
series of a thick assembly leaves up to 4 % of the true shape, too, and its count is as doubtful
(docs/shapes.md)."""


def diameter_of(body: Body) -> Diameter:
    """Return the width of a given body as the diameter of the results."""
    shape = Shape(name=body.name, aspherical_nm=body.aspherical_nm)
    return Diameter(value=body.width_nm, source="given", shape=shape)


def drawn_as(table: ParticleTable, shape: Shape | None) -> ParticleTable:
    """Return a table with the sizes by which its particles are drawn."""
    if shape is None:
        return table
    return replace(table, aspherical_nm=np.tile(shape.aspherical_nm, (len(table), 1)))


def detect_bodies(
    volume: Float32,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    body: Body,
    *,
    known: Bodies = NO_BODIES,
    doubts: Sequence[str] = (),
    device: Device = CPU,
    progress: Progress = silent,
) -> Detection:
    """Find bodies in a volume [z, y, x], fit them to the images, and judge their count.

    Parameters
    ----------
    series
        See `fit_bodies`.
    known
        Bodies that are certain from each series alone: the search begins beside them.
    doubts
        One line for each reason not to trust the input.

    Raises
    ------
    TooManyCandidatesError
        There are more bodies than the images can decide on.
    """
    images = [one for one, _ in series]
    search = prepare_search(volume, images[0].pixel_nm, body)
    found, scores = search_volume(search, known, progress=within(progress, 0.0, 0.2))
    require_few_candidates(len(found), images, body.width_nm)
    whole = _in_shape(scores, volume.shape)
    if not len(found):
        nothing = _nothing(len(series))
        fitness = measure_fitness(nothing, images, body.width_nm)
        count = count_with_interval(plateau(np.zeros(0)), np.zeros(0))
        verdict = judge(fitness, doubts)
        return Detection(whole, NO_PARTICLES, with_verdict(count, verdict, 1.0), fitness=fitness)
    first = fit_bodies(
        series,
        found,
        body,
        rounds=FIRST_ROUNDS,
        device=device,
        progress=within(progress, 0.2, 0.4),
    )
    if _usual_unexplained(first, body) > POOR:
        search, first = _with_one_orientation(search, found, series, first, device)
    certain = first.bodies.select(~odd_bodies(first, body))
    found, _ = search_volume(search, certain, progress=within(progress, 0.4, 0.5))
    fit = fit_bodies(series, found, body, device=device, progress=within(progress, 0.5, 1.0))
    amplitudes = fit.bodies.amplitudes
    threshold = plateau(amplitudes)
    chance = confidence(amplitudes, threshold.value)
    kept = amplitudes >= threshold.value
    # no place is misplaced by these figures: the rule of wrong places is that of spheres
    fitness = measure_fitness(as_spheres(fit, body), images, body.width_nm)
    odd = odd_bodies(fit, body)
    wrong = np.where(odd, WRONG_IF_ODD, WRONG_ELSE)
    own_doubts = (*_shape_doubt(fitness.unexplained, body), *_odd_doubt(odd[kept]))
    verdict = _about_bodies(judge(fitness, doubts), own_doubts)
    count = widen_by_wrong_places(count_with_interval(threshold, chance), wrong[kept])
    table = ParticleTable(
        fit.bodies.centres_nm[kept],
        np.full(int(kept.sum()), body.width_nm),
        (chance * (1 - wrong))[kept],
        quaternion=fit.bodies.turns[kept].as_quat(),
    )
    return Detection(
        whole,
        drawn_as(table, diameter_of(body).shape),
        with_verdict(count, verdict, wrong_share(fitness, verdict)),
        threshold.value,
        fit.blurs_nm,
        fitness,
    )


def _with_one_orientation(
    search: Search,
    found: Bodies,
    series: Sequence[tuple[TiltSeries, Pose | None]],
    first: BodyFit,
    device: Device,
) -> tuple[Search, BodyFit]:
    """Return the search and its fit that explain the images best, the first or one of bodies alike.

    Each orientation that many of the bodies `found` share is tried for all.
    """
    best = search, first
    for turns in prevailing_orientations(search.body, search.turns, found.turns):
        narrow = replace(search, turns=turns)
        alike, _ = search_volume(narrow)
        fit = fit_bodies(series, alike, search.body, rounds=FIRST_ROUNDS, device=device)
        if _usual_unexplained(fit, search.body) < _usual_unexplained(best[1], search.body):
            best = narrow, fit
    return best


def _usual_unexplained(fit: BodyFit, body: Body) -> float:
    """Return the share of the images near the bodies that is unexplained, their mean."""
    return float(np.mean(_of_bodies(fit.evidence.unexplained, body))) if len(fit.bodies) else 1.0


def odd_bodies(fit: BodyFit, body: Body) -> np.ndarray:
    """Return which bodies [n] are too faint, too bright or badly explained to be certain."""
    unexplained = _of_bodies(fit.evidence.unexplained, body)
    amplitudes = fit.bodies.amplitudes
    usual = float(np.median(unexplained)) if len(unexplained) else 0.0
    badly = unexplained > max(LEAST_ODD, ODD * usual)
    return np.asarray(badly | (amplitudes < FAINT) | (amplitudes > BRIGHT), bool)


def _shape_doubt(unexplained: float, body: Body) -> tuple[str, ...]:
    if unexplained <= WELL_EXPLAINED:
        return ()
    return (
        f"{body.name} leaves {unexplained:.1%} of the images near the particles unexplained: the "
        "shape or its size may be wrong, and then the orientations mean nothing",
    )


def _about_bodies(verdict: Verdict, doubts: Sequence[str]) -> Verdict:
    """Return a verdict whose reasons name bodies instead of spheres, with the doubts of bodies."""
    reasons = [line.replace("spheres", "bodies of this shape") for line in verdict.reasons]
    doubted = bool(doubts) and verdict.state is Trust.TRUSTED
    return Verdict(
        state=Trust.DOUBTFUL if doubted else verdict.state,
        reasons=(*reasons, *doubts),
        causes=(*verdict.causes, *(Cause.NOT_SPHERES for _ in doubts)),
    )


def _odd_doubt(odd: np.ndarray) -> tuple[str, ...]:
    if not len(odd) or odd.mean() <= MANY_ODD:
        return ()
    return (
        f"{int(odd.sum())} of {len(odd)} particles of the given shape fit the images badly: their "
        "places or orientations may be wrong",
    )


def as_spheres(fit: BodyFit, body: Body) -> SphereFit:
    """Return a fit of bodies in the form in which that of spheres is judged: one for each body."""
    evidence = fit.evidence
    each = len(body.offsets_nm)
    shown = Evidence(
        _of_bodies(evidence.unexplained, body),
        _of_bodies(evidence.place_error, body),
        _of_bodies(evidence.sharpness, body),
        evidence.view_unexplained,
        evidence.noise_share,
        evidence.missed_area / each,
        evidence.tilt_errors_deg,
        evidence.noise[:, ::each],
    )
    left_out = tuple(
        np.zeros(sum(len(some) for some in fit.views if some.series == index), bool)
        for index in range(len(evidence.noise_share))
    )
    bodies = fit.bodies
    return SphereFit(
        bodies.centres_nm, bodies.amplitudes, fit.blurs_nm, 0.0, shown, fit.views, left_out, {}
    )


def _of_bodies(of_balls: Float64, body: Body) -> Float64:
    """Return the mean over the balls of each body."""
    return np.asarray(of_balls.reshape(-1, len(body.offsets_nm)).mean(axis=1), np.float64)


def _nothing(series: int) -> SphereFit:
    none = tuple(np.zeros(0, bool) for _ in range(series))
    return SphereFit(
        np.zeros((0, 3)), np.zeros(0), (0.0,) * series, 1.0, no_evidence(series), (), none, {}
    )


def _in_shape(scores: Float32, shape: tuple[int, ...]) -> Float32:
    """Return the scores in as many voxels as the volume has."""
    if scores.shape == shape:
        return scores
    factors = [new / old for new, old in zip(shape, scores.shape, strict=True)]
    return np.asarray(ndimage.zoom(scores, factors, order=1), np.float32)
