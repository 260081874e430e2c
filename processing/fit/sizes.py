"""Diameter of each fitted sphere, measured twice: by its brightness and by its profile.

The integrated signal of a particle grows with its volume, and its images are as wide as the
particle. With the poses and the beam of the fit, amplitude, size and place of each sphere are
solved for all spheres together, because they overlap in projection (`size_model.py`). Brightness is
the more precise measure, but saturation, channelling and overlap change it, too. The profile does
not depend on the material.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from processing.fit.beam import Beam
from processing.fit.imager import LAYERS
from processing.fit.size_beam import refit_beams
from processing.fit.size_model import UNKNOWNS, SizeModel, kernels_of_size, products, size_models
from processing.fit.solve import conjugate_gradients, displacement_blocks, sum_models
from processing.fit.spheres import SphereFit
from processing.fit.view import Spheres, Views, every
from processing.fit.view_model import ViewModel, model_views
from processing.progress import Progress, silent
from processing.series import Bools, Float64

UNEQUAL = 0.04
"""Smallest spread of the diameters, by brightness, at which one solution is not enough: equal
spheres pull the places of unequal particles, and change the blur and the contrasts of the layers.
A smaller spread is found a twentieth too small by one."""
STEPS, MORE_STEPS = 5, 25
"""Steps of conjugate gradients in each solution, and the largest number of further ones. Sizes that
have not converged are too near the mean: the more spheres overlap, the more steps they need."""
FIRST_TOLERANCE, TOLERANCE = 0.4, 0.2
"""Residual, as a fraction of the first, that needs no further steps: in the first of two solutions,
which the other corrects, and in the last one. In assemblies of 165 nm more steps add noise: with
0.05 the rms error grows by a quarter."""
MOST_VIEWS = 48
"""Largest number of images used, evenly spaced. More of them cost time and gain little."""
LOG_SIZES = np.linspace(-0.5, 0.4, 19)
"""Logarithms of relative diameters for which the linear model is corrected."""
UNKNOWN = 0.3
"""Standard error of the logarithms for a false candidate."""
FAINTEST = 0.05
"""Smallest amplitude whose logarithm is taken."""

STAGE = "diameters of the particles"
"""Stage in progress reports."""


@dataclass(frozen=True, eq=False)
class SizeSignals:
    """Two measurements of the diameter of each candidate, as logarithms.

    Attributes
    ----------
    measured
        [n, 2]: diameter over that of a sphere of amplitude 1, by the integrated signal; and
        diameter over that of the candidate's kind, by the width of its images.
    noise
        [n, 2, 2], covariance of both by the noise of the images.
    """

    measured: Float64
    noise: Float64


def measure_sizes(fit: SphereFit, *, progress: Progress = silent) -> SizeSignals:
    """Measure brightness and profile of the candidates of a fit; 0 for false candidates."""
    number = len(fit.amplitudes)
    if not fit.spheres.are_particles.any():
        return SizeSignals(np.zeros((number, 2)), np.zeros((number, 2, 2)))
    step = -(-sum(map(len, fit.views)) // MOST_VIEWS)
    views, noise = every(fit.views, step), fit.evidence.noise[::step]
    now = _Sized(fit.spheres, np.zeros(number))
    particles = now.spheres.are_particles
    with views[0].imager.device.executor() as pool:
        if _spread(now) > UNEQUAL:
            models = _models(views, fit.beams, now, pool)
            inverse = _inverse(products(models, noise, number)[0], particles)
            now = _solved(models, now, inverse, pool, FIRST_TOLERANCE)
        progress(STAGE, 0.4)
        beams = refit_beams(fit.beams, fit.views, now.spheres, now.unknowns, pool)
        progress(STAGE, 0.6)
        models = _models(views, beams, now, pool)
        exact, noisy = products(models, noise, number)
        inverse = _inverse(exact, particles)
        now = _solved(models, now, inverse, pool, TOLERANCE)
    return _signals(now, models, inverse @ noisy @ inverse)


@dataclass(frozen=True, eq=False)
class _Sized:
    """Spheres, and their amplitude times the relative change of their diameter, [n]."""

    spheres: Spheres
    changes: Float64

    @property
    def unknowns(self) -> Float64:
        """Unknowns of the linear model at these places, [n, UNKNOWNS]."""
        unknowns = np.zeros((len(self.changes), UNKNOWNS))
        unknowns[:, 0], unknowns[:, 1] = self.spheres.amplitudes, self.changes
        return unknowns


def _models(
    views: Sequence[Views], beams: Mapping[int, Beam], now: _Sized, pool: Executor
) -> list[SizeModel]:
    def model(some: Views) -> ViewModel:
        return model_views(some, beams[some.series], now.spheres)

    return list(pool.map(partial(_with_contrasts, now), size_models(list(pool.map(model, views)))))


def _with_contrasts(now: _Sized, model: SizeModel) -> SizeModel:
    if not now.changes.any():
        return model  # its contrasts are those of spheres of equal size
    return model.with_contrasts(now.unknowns, now.spheres.weights)


def _inverse(blocks: Float64, particles: Bools) -> Float64:
    """Return the inverse blocks [n, 2, 2]; a sphere that no image shows gets a finite one."""
    trace = np.trace(blocks, axis1=1, axis2=2)
    ridge = 1e-6 * float(np.median(trace[particles]))
    return np.asarray(np.linalg.inv(blocks + ridge * np.eye(2)), np.float64)


def _solved(
    models: Sequence[SizeModel], now: _Sized, inverse: Float64, pool: Executor, tolerance: float
) -> _Sized:
    """Solve for the changes of all unknowns of the particles."""
    weights, particles = now.spheres.weights, now.spheres.are_particles
    damping, inverse_places = displacement_blocks([one.model for one in models], now.spheres, pool)

    def residual_product(one: SizeModel) -> Float64:
        return one.adjoint(one.residual(now.unknowns, weights), weights)

    def normal_product(unknowns: Float64) -> Float64:
        def product(one: SizeModel) -> Float64:
            return one.adjoint(one.forward(unknowns, weights), weights)

        result: Float64 = sum_models(pool, product, models)
        result[:, 2:] += damping[:, None] * unknowns[:, 2:]
        return result * particles[:, None]

    def precondition(right: Float64) -> Float64:
        sizes = np.einsum("nij,nj->ni", inverse, right[:, :2])
        places = np.einsum("nij,nj->ni", inverse_places, right[:, 2:])
        return np.hstack([sizes, places]) * particles[:, None]

    right = sum_models(pool, residual_product, models) * particles[:, None]
    change = conjugate_gradients(normal_product, right, precondition, STEPS, MORE_STEPS, tolerance)
    return _changed(now, change)


def _changed(now: _Sized, change: Float64) -> _Sized:
    spheres = replace(
        now.spheres,
        centres_nm=now.spheres.centres_nm + change[:, 2:],
        amplitudes=np.maximum(now.spheres.amplitudes + change[:, 0], 0.0),
    )
    return _Sized(spheres, now.changes + change[:, 1])


def _spread(now: _Sized) -> float:
    """Return the spread of the particles' diameters inside their kinds, by brightness."""
    particles = now.spheres.are_particles
    low, high = np.quantile(
        np.log(np.maximum(now.spheres.amplitudes[particles], FAINTEST)) / 3, (0.16, 0.84)
    )
    return float(high - low) / 2


def _signals(now: _Sized, models: Sequence[SizeModel], noise: Float64) -> SizeSignals:
    """Turn the solution of the linear model into logarithms of diameters.

    A sphere of another size is no sum of the two images exactly; the size is the one whose
    projection on them has the same ratio.
    """
    spheres = now.spheres
    amplitudes = np.maximum(spheres.amplitudes, FAINTEST)
    ratio = now.changes / amplitudes
    kinds = np.zeros(len(ratio), int) if spheres.kinds is None else spheres.kinds
    brightness, profile = np.zeros((2, len(ratio)))
    for kind in range(len(models[0].model.views.imager.kinds)):
        own = (kinds == kind) & spheres.are_particles
        ratios, gains = _projections(models, kind)
        profile[own] = np.interp(ratio[own], ratios, LOG_SIZES)
        gain = np.interp(profile[own], LOG_SIZES, gains)
        brightness[own] = np.log(amplitudes[own] / gain) / 3
    to_logs = np.zeros_like(noise)
    to_logs[:, 0, 0] = 1 / (3 * amplitudes)
    to_logs[:, 1, 0], to_logs[:, 1, 1] = -ratio / amplitudes, 1 / amplitudes
    of_logs = to_logs @ noise @ np.swapaxes(to_logs, 1, 2)
    of_logs[~spheres.are_particles] = UNKNOWN**2 * np.eye(2)
    return SizeSignals(np.stack([brightness, profile], axis=1), of_logs)


def _projections(models: Sequence[SizeModel], kind: int) -> tuple[Float64, Float64]:
    """Project spheres of amplitude 1 and of `LOG_SIZES` on the images of one kind.

    Returns change over amplitude, which grows with the size, and the amplitude, each [size].
    """
    slots = slice(LAYERS * kind, LAYERS * (kind + 1))
    normal, right = np.zeros((2, 2)), np.zeros((len(LOG_SIZES), 2))
    for sized, weights in _by_series(models):
        imager, beam = sized.model.views.imager, sized.model.beam
        basis = beam.kernels, sized.slopes
        sizes = [kernels_of_size(imager, beam, float(np.exp(size))) for size in LOG_SIZES]
        for column, one in enumerate(basis):
            in_slots = [imager.products(one, other)[0] for other in (*basis, *sizes)]
            found = (np.array(in_slots) * weights)[:, slots].sum(axis=1)
            normal[column] += found[:2]
            right[:, column] += found[2:]
    amplitude, change = np.linalg.solve(normal, right.T)
    return np.maximum.accumulate(change / amplitude), np.asarray(amplitude, np.float64)


def _by_series(models: Sequence[SizeModel]) -> list[tuple[SizeModel, Float64]]:
    """Return one model of each series, and the weight of each slot in all its views."""
    weights: dict[int, Float64] = {}
    first: dict[int, SizeModel] = {}
    for sized in models:
        model, to_host = sized.model, sized.model.views.imager.device.to_host
        shown = to_host(model.of_slots(model.contrasts**2))
        slots = np.bincount(
            to_host(model.slot).ravel(), shown.ravel(), minlength=model.views.imager.slots
        )
        series = model.views.series
        first.setdefault(series, sized)
        weights[series] = weights.get(series, np.zeros(len(slots))) + slots
    return [(sized, weights[series]) for series, sized in first.items()]
