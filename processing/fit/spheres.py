"""Sparse sphere fit: the particles that best explain the images of one series, or of both.

The images are modelled as a sum of spheres, each with an amplitude and a position. They are equal,
or of several kinds with a diameter each (`processing/fit/mixture.py`). The beam broadens and
weakens in the specimen: deeper layers are blurred more and have their own contrast, so that the
saturation needs no correction beforehand. The poses of the images are corrected as well. Candidates
come from a reconstruction; false ones end with an amplitude near zero. The fit needs no volume, and
uses each series on the side where it is sharp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from processing.align.matching import reduced
from processing.combine.pose import Pose
from processing.device import CPU, Device
from processing.fit.beam import Beam
from processing.fit.deformation import Deformation
from processing.fit.evidence import Evidence, gather_evidence, no_evidence
from processing.fit.imager import ONE_KIND, Ints, SphereImager
from processing.fit.mixture import Mixture
from processing.fit.rounds import FitState, model_all, next_round, with_deformation
from processing.fit.spline_matrices import are_kept
from processing.fit.view import Spheres, Views, views_of
from processing.fit.view_model import ViewModel
from processing.progress import Progress, silent, within
from processing.series import Bools, Float64, TiltSeries

ROUNDS = 3
"""Largest number of rounds."""
TILT_ROUND = 1
"""Round, from 0, in which tilt angles are corrected too; the last one if there are fewer.

In every round they would follow the errors of the model where ordered layers line up.
"""
FINEST_PX = 7.0
"""Sphere diameter to which finer images are reduced (px). More pixels do not improve the fit."""
LARGEST_START_AMPLITUDE = 1.2
CONVERGED_MOVE = 0.01
"""Displacement, rms over the particles in sphere diameters, after which no round follows.

The rounds that remain would move the particles by a third of it, much less than their errors.
"""

LARGEST_UNEXPLAINED = 0.3
"""Share of an image near the particles that spheres may leave unexplained; see `odd_views`."""
LARGEST_LEFT_OUT = 0.1
"""Largest share of the images of a series that is left out. More of them are no accident."""


@dataclass(frozen=True, eq=False)
class SphereFit:
    """Candidates after the fit.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z), one for each candidate, in their order.
    amplitudes
        [n]; 1 is a typical particle, a false candidate has nearly 0.
    blurs_nm
        Standard deviation of the beam where it leaves the specimen, for each series.
    misfit
        Norm of the residual in the band, divided by the norm of the images.
    evidence
        Comparison of the fitted spheres with every image.
    views
        Images in the band, with their corrected poses.
    left_out
        Images of each series that do not show the particles, [image]; they are in no other figure.
    beams
        Beam of each series, by its index.
    kinds
        [n], number of the kind of each candidate; None for one kind.
    deformation
        Deformation of the specimen during the series; None if the images do not ask for one. The
        centres are those at the mean time of the first series.
    given
        The same images with the poses that were given.
    at_rest
        True if the last round hardly moved the particles.
    """

    centres_nm: Float64
    amplitudes: Float64
    blurs_nm: tuple[float, ...]
    misfit: float
    evidence: Evidence
    views: tuple[Views, ...]
    left_out: tuple[Bools, ...]
    beams: Mapping[int, Beam]
    kinds: Ints | None = None
    deformation: Deformation | None = None
    given: tuple[Views, ...] = ()
    at_rest: bool = True

    @property
    def spheres(self) -> Spheres:
        """Candidates as spheres."""
        return Spheres(self.centres_nm, self.amplitudes, self.kinds)


def fit_spheres(
    series: Sequence[tuple[TiltSeries, Pose | None]],
    centres_nm: Float64,
    weights: Float64,
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    mixture: Mixture | None = None,
    may_deform: bool = True,
    device: Device = CPU,
    progress: Progress = silent,
) -> SphereFit:
    """Fit spheres and poses to one aligned series, or to several at once.

    Parameters
    ----------
    series
        Aligned series with background subtracted and saturation not corrected. Each has the pose
        that brings its frame onto that of the centres; None if the frames are equal.
    centres_nm
        Candidates, [n, 3] as (x, y, z).
    weights
        [n] from a reconstruction, about 1 for a particle.
    diameter_nm
        Diameter of the spheres, or of the largest kind.
    mixture
        Kind of each candidate; None for equal spheres.
    may_deform
        Ask the images whether the specimen has deformed, and follow that. It changes places, but
        hardly the count.
    """
    if len(weights) == 0:
        nothing = no_evidence(len(series))
        all_used = tuple(np.zeros(one.tilts, bool) for one, _ in series)
        return SphereFit(centres_nm, weights, (0.0,) * len(series), 1.0, nothing, (), all_used, {})
    kinds = ONE_KIND if mixture is None else mixture.kinds
    smallest_nm = diameter_nm * min(kind.size for kind in kinds)
    pixel_nm = smallest_nm / FINEST_PX
    images = sum(one.tilts for one, _ in series)
    views = [
        some
        for index, (one, pose) in enumerate(series)
        for some in views_of(
            reduced(one, pixel_nm / one.pixel_nm),
            diameter_nm,
            pose,
            index,
            kinds,
            spheres=len(weights),
            keeps_matrices=are_kept(images, len(weights), device),
            device=device,
        )
    ]
    start = np.clip(weights, 0, LARGEST_START_AMPLITUDE)
    spheres = Spheres(centres_nm, start, None if mixture is None else mixture.members)
    task = _Task(
        views,
        diameter_nm,
        smallest_nm,
        rounds,
        min(TILT_ROUND, rounds - 1),
        may_deform,
        tuple(np.zeros(one.tilts, bool) for one, _ in series),
    )
    with device.executor() as pool:
        return _fitted(FitState(views, spheres, {}, np.inf), task, pool, progress)


def fit_again(
    fit: SphereFit,
    centres_nm: Float64,
    amplitudes: Float64,
    diameter_nm: float,
    *,
    rounds: int = ROUNDS,
    may_deform: bool = True,
    progress: Progress = silent,
) -> SphereFit:
    """Fit other equal spheres to the images of a fit, from its poses on.

    Parameters
    ----------
    centres_nm, amplitudes
        Spheres at the start, [n, 3] as (x, y, z) and [n].
    rounds, may_deform
        See `fit_spheres`.
    """
    given = list(fit.given)
    task = _Task(given, diameter_nm, diameter_nm, rounds, 0, may_deform, fit.left_out)
    state = FitState(list(fit.views), Spheres(centres_nm, amplitudes), {}, np.inf)
    with fit.views[0].imager.device.executor() as pool:
        return _fitted(state, task, pool, progress)


@dataclass(frozen=True, eq=False)
class _Task:
    """Images of a fit, and how they are fitted.

    Attributes
    ----------
    given
        Views before any correction of their poses.
    smallest_nm
        Diameter of the smallest kind of spheres.
    tilt_round
        Round, from 0, in which tilt angles are corrected too.
    left_out
        Images of each series that are not among the views, [image].
    """

    given: list[Views]
    diameter_nm: float
    smallest_nm: float
    rounds: int
    tilt_round: int
    may_deform: bool
    left_out: tuple[Bools, ...]


def _fitted(state: FitState, task: _Task, pool: Executor, progress: Progress) -> SphereFit:
    """Fit the spheres of a state, without images that do not show them."""
    given, smallest_nm = task.given, task.smallest_nm
    state = _at_rest(state, task, pool, within(progress, 0.0, 0.8))
    deformation = None
    if task.may_deform:
        shown = within(progress, 0.8, 0.9)
        state, deformation = with_deformation(state, given, smallest_nm, pool, shown)
    progress("comparison with the images", 0.9)
    evidence, misfit = _compared(state, given, pool)
    odd = odd_views(evidence.view_unexplained, given)
    left_out = task.left_out
    if odd.any():
        left_out = _with_left_out(left_out, odd, _series_numbers(given))
        given = _without(given, odd)
        state = replace(state, views=_without(state.views, odd))
        shown = within(progress, 0.9, 1.0)
        state = next_round(state, smallest_nm, pool, correct_tilt=False, progress=shown)
        if deformation is not None:
            state, deformation = with_deformation(state, given, smallest_nm, pool, shown)
        progress("comparison with the images", 1.0)
        evidence, misfit = _compared(state, given, pool)
    blurs_nm = tuple(
        beam.blur_px * task.diameter_nm / _imager(state.views, index).diameter_px
        for index, beam in state.beams.items()
    )
    return SphereFit(
        state.spheres.centres_nm,
        state.spheres.amplitudes,
        blurs_nm,
        misfit,
        evidence,
        tuple(state.views),
        left_out,
        state.beams,
        state.spheres.kinds,
        deformation,
        tuple(given),
        _is_at_rest(state, smallest_nm),
    )


def _at_rest(state: FitState, task: _Task, pool: Executor, progress: Progress) -> FitState:
    """Return the state after all rounds, or after the first that hardly moved the particles."""
    for done in range(task.rounds):
        shown = within(progress, done / task.rounds, (done + 1) / task.rounds)
        correct_tilt = done == task.tilt_round
        state = next_round(state, task.smallest_nm, pool, correct_tilt=correct_tilt, progress=shown)
        if done >= TILT_ROUND and _is_at_rest(state, task.smallest_nm):
            break
    return state


def _is_at_rest(state: FitState, smallest_nm: float) -> bool:
    """Return true if the last round hardly moved the particles."""
    return state.move_nm < CONVERGED_MOVE * smallest_nm


def _with_left_out(left_out: tuple[Bools, ...], odd: Bools, series: Ints) -> tuple[Bools, ...]:
    """Return the images left out of each series, with the odd ones among the others [view]."""
    more = []
    for index, before in enumerate(left_out):
        now = before.copy()
        now[~before] = odd[series == index]
        more.append(now)
    return tuple(more)


def _compared(state: FitState, given: list[Views], pool: Executor) -> tuple[Evidence, float]:
    """Return the evidence of a state and its misfit; its models need much memory while they live.

    `given` are the views of the state before any correction of their poses.
    """
    models = model_all(state, pool)
    evidence = gather_evidence(models, given, state.spheres, pool)
    return evidence, _misfit(models, state.spheres, pool)


def odd_views(unexplained: Float64, views: Sequence[Views]) -> Bools:
    """Return which images [view] do not show the particles, such as those another object covers.

    They must be few: where the spheres leave many images of a series unexplained, the spheres are
    wrong, and no image of the series is odd.

    Parameters
    ----------
    unexplained
        Share of each image near the particles that spheres leave unexplained, [view].
    """
    numbers = _series_numbers(views)
    odd = unexplained > LARGEST_UNEXPLAINED
    for index in np.unique(numbers):
        own = numbers == index
        odd[own] &= odd[own].mean() <= LARGEST_LEFT_OUT
    return np.asarray(odd, bool)


def _series_numbers(views: Sequence[Views]) -> Ints:
    """Return the index of the series of each image, [view]."""
    return np.repeat([some.series for some in views], [len(some) for some in views])


def _without(views: Sequence[Views], odd: Bools) -> list[Views]:
    """Return the views without the odd ones [view]."""
    ends = np.cumsum([len(some) for some in views])[:-1]
    kept = [np.flatnonzero(~part) for part in np.split(odd, ends)]
    return [some.select(part) for some, part in zip(views, kept, strict=True) if len(part)]


def _imager(views: list[Views], series: int) -> SphereImager:
    return next(some.imager for some in views if some.series == series)


def _misfit(models: list[ViewModel], spheres: Spheres, pool: Executor) -> float:
    def energies(model: ViewModel) -> Float64:
        imager = model.views.imager
        parts = model.residual(spheres.weights), model.views.spectra
        return np.array([imager.energies(part).sum() for part in parts])

    residual, whole = np.sum(list(pool.map(energies, models)), axis=0)
    return float(np.sqrt(residual / max(whole, 1e-30)))
