"""Fit of bodies to the images of one series, or of both: places, orientations and amplitudes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from scipy.spatial.transform import Rotation

from processing.align.matching import reduced
from processing.combine.pose import Pose
from processing.device import CPU, Device
from processing.fit.beam import Beam, fit_beam
from processing.fit.evidence import Evidence, gather_evidence
from processing.fit.spheres import FINEST_PX
from processing.fit.view import Spheres, Views, views_of
from processing.fit.view_model import ViewModel, correct_poses, model_views, refit_contrasts
from processing.progress import Progress, silent, within
from processing.series import Bools, Float64, TiltSeries
from processing.shapes.bodies import Bodies, without_overlaps
from processing.shapes.body import Body
from processing.shapes.reorient import reoriented
from processing.shapes.rigid import Levers, fit_body_amplitudes, solve_motions

ROUNDS = 5
TURN_ROUND = 1
"""Round, from 0, before which every orientation is tried for each body."""
TILT_ROUND = 2
"""Round, from 0, in which tilt angles are corrected too."""
DAMPING = (0.02, 0.01, 0.005)
"""Damping of the motions in the first rounds; the last value holds on."""
LARGEST_SHIFT = 0.25
"""Largest shift of a body in one round, in widths."""
LARGEST_TURN_DEG = 15.0
"""Largest rotation of a body in one round."""
FAINT = 0.35
"""Amplitude below which a body is dropped between rounds."""


@dataclass(frozen=True, eq=False)
class BodyFit:
    """Bodies after the fit.

    Attributes
    ----------
    bodies
        Places, orientations and amplitudes; a false body has an amplitude near 0.
    balls
        All balls of the bodies as spheres, those of a body one after another.
    evidence
        Comparison of the balls with every image; its figures are one for each ball.
    views
        Images in the band, with their corrected poses.
    blurs_nm
        Standard deviation of the beam where it leaves the specimen, for each series.
    """

    bodies: Bodies
    balls: Spheres
    evidence: Evidence
    views: tuple[Views, ...]
    blurs_nm: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _State:
    bodies: Bodies
    views: list[Views]
    beams: dict[int, Beam]


def fit_bodies(
    series: Sequence[tuple[TiltSeries, Pose | None]],
    bodies: Bodies,
    body: Body,
    *,
    rounds: int = ROUNDS,
    device: Device = CPU,
    progress: Progress = silent,
) -> BodyFit:
    """Fit bodies and poses to one aligned series, or to several at once; see `fit_spheres`."""
    each = len(body.offsets_nm)
    pixel_nm = body.ball_nm / FINEST_PX
    views = [
        some
        for index, (one, pose) in enumerate(series)
        for some in views_of(
            reduced(one, pixel_nm / one.pixel_nm),
            body.ball_nm,
            pose,
            index,
            spheres=len(bodies) * each,
            device=device,
        )
    ]
    given = views
    with device.executor() as pool:
        state = _State(bodies, views, {})
        for done in range(rounds):
            shown = within(progress, done / rounds, (done + 1) / rounds)
            damping = DAMPING[min(done, len(DAMPING) - 1)]
            if done == TURN_ROUND:
                state = _reoriented(state, body, pool)
            state = _next_round(
                state, body, damping, pool, correct_tilt=done == TILT_ROUND, progress=shown
            )
            kept = state.bodies.select(state.bodies.amplitudes > FAINT)
            state = replace(state, bodies=without_overlaps(body, kept))
        balls = _balls(state.bodies, body)
        models = _models(state, balls, pool)
        amplitudes = fit_body_amplitudes(models, balls, each, pool)
        fitted = Bodies(state.bodies.centres_nm, state.bodies.turns, amplitudes)
        balls = _balls(fitted, body)
        models = list(pool.map(partial(refit_contrasts, spheres=balls), models))
        evidence = gather_evidence(models, given, balls, pool)
    blurs_nm = tuple(
        beam.blur_px * body.ball_nm / state.views[0].imager.diameter_px
        for beam in state.beams.values()
    )
    return BodyFit(fitted, balls, evidence, tuple(state.views), blurs_nm)


def _balls(bodies: Bodies, body: Body) -> Spheres:
    places = body.balls_nm(bodies.centres_nm, bodies.turns)
    amplitudes = np.repeat(bodies.amplitudes, places.shape[1])
    return Spheres(places.reshape(-1, 3), amplitudes)


def _models(state: _State, balls: Spheres, pool: Executor) -> list[ViewModel]:
    def model(some: Views) -> ViewModel:
        return model_views(some, state.beams[some.series], balls)

    return list(pool.map(model, state.views))


def _reoriented(state: _State, body: Body, pool: Executor) -> _State:
    """Give each body the orientation that explains the images best, wherever it was before."""
    models = _models(state, _balls(state.bodies, body), pool)
    return replace(state, bodies=reoriented(models, state.bodies, body, pool))


def _next_round(
    state: _State,
    body: Body,
    damping: float,
    pool: Executor,
    *,
    correct_tilt: bool,
    progress: Progress,
) -> _State:
    """Fit beams and poses of the views, then amplitudes and motions of the bodies."""
    each = len(body.offsets_nm)
    balls = _balls(state.bodies, body)
    by_series = groupby(state.views, lambda some: some.series)
    state = replace(
        state, beams={index: fit_beam(list(its), balls, pool) for index, its in by_series}
    )
    correct = partial(correct_poses, spheres=balls, correct_tilt=correct_tilt)
    state = replace(state, views=list(pool.map(correct, _models(state, balls, pool))))
    progress("body fit", 1 / 3)
    models = _models(state, balls, pool)
    amplitudes = fit_body_amplitudes(models, balls, each, pool)
    bodies = Bodies(state.bodies.centres_nm, state.bodies.turns, amplitudes)
    balls = _balls(bodies, body)
    progress("body fit", 2 / 3)
    models = list(pool.map(partial(refit_contrasts, spheres=balls), models))
    arms = balls.centres_nm - np.repeat(bodies.centres_nm, each, axis=0)
    motions = solve_motions(models, balls, Levers(arms, each, body.lever_nm), damping, pool)
    progress("body fit", 1.0)
    return replace(state, bodies=_moved(bodies, motions, body, balls.are_particles[::each]))


def _moved(bodies: Bodies, motions: Float64, body: Body, particles: Bools) -> Bodies:
    """Move and turn the bodies, without the mean shift: that one belongs to the views."""
    shifts, spins = motions[:, :3].copy(), motions[:, 3:]
    if particles.any():
        shifts[particles] -= shifts[particles].mean(axis=0)
    shifts = _limited(shifts, LARGEST_SHIFT * body.width_nm)
    spins = _limited(spins, np.deg2rad(LARGEST_TURN_DEG))
    turns = Rotation.from_rotvec(spins) * bodies.turns if len(bodies) else bodies.turns
    return Bodies(bodies.centres_nm + shifts, turns, bodies.amplitudes)


def _limited(vectors: Float64, largest: float) -> Float64:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors * np.minimum(1.0, largest / np.maximum(lengths, 1e-12)), np.float64)
