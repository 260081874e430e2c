"""Final positions of fitted spheres, and their standard errors.

The fit takes all spheres of a kind for equal, so that those of other sizes pull their neighbours.
Here every sphere has its own diameter, and amplitudes and positions of all spheres are solved once
more.

The errors come from the same equations. Noise like that of the images, and size changes as large as
the errors of the diameters, are put in place of the residual. The positions that they cause have
the covariance of the least-squares solution (the inverse of the Fisher information), with the
overlap of neighbours in it. The model of the image is not exact either: near each sphere the
errors are scaled by what the residual pulls at the spheres, over what the noise pulls at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from processing.device import Array
from processing.fit.evidence import noise_energy
from processing.fit.scatter import (
    average_nearby,
    squared_scatter,
    view_weights,
    without_rigid_motion,
)
from processing.fit.size_model import UNKNOWNS, SizeModel, size_models
from processing.fit.solve import (
    conjugate_gradients,
    displaced_layers,
    displacement_blocks,
    forces,
    own_stiffness,
    stiffness_by_series,
    sum_models,
)
from processing.fit.spheres import SphereFit
from processing.fit.view import LEAST_AMPLITUDE, Spheres, Views, every
from processing.fit.view_model import ViewModel, model_views
from processing.series import Float32, Float64

FEWEST_STEPS, MORE_STEPS, TOLERANCE = 4, 36, 0.03
"""Steps of conjugate gradients, which go on until the fraction of the forces that is left is small.
Layers that line up converge slowly, along the beam above all. Solutions of fewer steps leave a part
of the errors in the positions, and leave out another part of those that the noise causes."""
SIZE_VIEWS = 24
"""Largest number of images, evenly spaced, in which errors of the sizes move the spheres: they move
them as far in some images as in all."""
LARGEST_MOVE = 0.1
"""Largest displacement by the last solution, in sphere diameters."""
DRAWN_PARTICLES, MOST_DRAWS = 150, 3
"""Particles of all draws of noise together, which find the errors within a few percent; largest
number of draws."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of all candidates and their standard errors, both [n, 3] as (x, y, z).

    Errors that all spheres share are not included. False candidates have NaN as their error.
    """

    centres_nm: Float64
    errors_nm: Float64


def measure_positions(fit: SphereFit, log_sizes: Float64, size_errors: Float64) -> Positions:
    """Return the positions of spheres that have their own diameters.

    Parameters
    ----------
    log_sizes
        [n], logarithm of each diameter over that of the sphere's kind.
    size_errors
        [n], its standard error.
    """
    spheres, errors = fit.spheres, np.full(fit.centres_nm.shape, np.nan)
    particles = spheres.are_particles
    if not particles.any():
        return Positions(fit.centres_nm, errors)
    with fit.views[0].imager.device.executor() as pool:
        models = list(pool.map(partial(_model, fit), fit.views))
        system = _system(models, spheres, log_sizes, pool)
        residuals = system.residuals()
        solution = system.solve(residuals)
        left = system.left(residuals, solution)
        step = -(-sum(map(len, fit.views)) // SIZE_VIEWS)
        few = _system(every(models, step), spheres, log_sizes, pool)
        found = _errors(system, few, residuals, left, fit.evidence.noise, size_errors)
    errors[particles] = found[particles]
    moves = solution[:, 1:]
    moves[particles] -= moves[particles].mean(axis=0)
    largest_nm = LARGEST_MOVE * _diameter_nm(fit.views[0])
    centres_nm = fit.centres_nm + np.clip(moves, -largest_nm, largest_nm)
    return Positions(centres_nm, errors)


def _model(fit: SphereFit, views: Views) -> ViewModel:
    return model_views(views, fit.beams[views.series], fit.spheres)


def _diameter_nm(views: Views) -> float:
    return float(views.imager.diameter_px / np.linalg.norm(views.axes[0, 0]))


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations of amplitudes and displacements, for spheres of known sizes.

    Changes [n, 4] are those of the amplitude and of x, y and z (nm).

    Attributes
    ----------
    unknowns
        State at which the equations are linear, [n, UNKNOWNS]; the displacements are 0.
    inverse
        Inverse block of the displacements of each sphere alone, [n, 3, 3].
    own
        Squared norm of the images of each sphere, [n].
    """

    models: list[SizeModel]
    spheres: Spheres
    unknowns: Float64
    inverse: Float64
    own: Float32
    pool: Executor

    def residuals(self) -> list[Array]:
        """Return images minus model for each group of views."""
        weights = self.spheres.weights
        return list(self.pool.map(lambda one: one.residual(self.unknowns, weights), self.models))

    def left(self, spectra: Sequence[Array], changes: Float64) -> list[Array]:
        """Return what changes [n, 4] leave of spectra."""
        weights = self.spheres.weights

        def left(one: SizeModel, each: Array) -> Array:
            return each - _changed(one.model, changes, weights)

        return list(self.pool.map(left, self.models, spectra))

    def solve(self, spectra: Sequence[Array]) -> Float64:
        """Return changes [n, 4] that explain spectra best; false candidates stay."""
        weights, particles = self.spheres.weights, self.spheres.are_particles[:, None]

        def adjoint(pair: tuple[SizeModel, Array]) -> Float64:
            return _adjoint(pair[0].model, pair[1], weights)

        def normal_product(changes: Float64) -> Float64:
            def product(one: SizeModel) -> Float64:
                return _adjoint(one.model, _changed(one.model, changes, weights), weights)

            result: Float64 = sum_models(self.pool, product, self.models)
            return result * particles

        def precondition(right: Float64) -> Float64:
            moves = np.einsum("nij,nj->ni", self.inverse, right[:, 1:])
            return np.column_stack([right[:, 0] / self.own, moves]) * particles

        pairs = list(zip(self.models, spectra, strict=True))
        right: Float64 = sum_models(self.pool, adjoint, pairs)
        return conjugate_gradients(
            normal_product, right * particles, precondition, FEWEST_STEPS, MORE_STEPS, TOLERANCE
        )

    def scatter(self, spectra: Sequence[Array]) -> Float64:
        """Return the summed variances of x, y and z that spectra cause near each sphere, [n]."""
        weights = self.spheres.weights

        def forces_in(one: SizeModel, each: Array) -> Float32:
            model, views = one.model, one.model.views
            layers = model.adjoint(each)
            along = [
                views.imager.device.to_host(slopes @ layers).reshape(len(views), -1) * weights
                for slopes in (model.splines.slope_y, model.splines.slope_u)
            ]
            axes = views.axes[:, :2].astype(np.float32)
            return np.asarray(np.einsum("kvn,vki->vni", np.stack(along), axes), np.float32)

        parts = list(self.pool.map(forces_in, self.models, spectra))
        views_of = [one.model.views for one in self.models]
        series = np.concatenate([np.full(len(each), each.series) for each in views_of])
        pairs = view_weights(np.concatenate([each.axes for each in views_of]), series)
        found = squared_scatter(np.concatenate(parts), pairs, self.inverse)
        particles = self.spheres.are_particles
        found[particles] = average_nearby(found[particles], self.spheres.centres_nm[particles])
        return found


def _changed(model: ViewModel, changes: Float64, weights: Float32) -> Array:
    """Return the spectra of changes of amplitude and position, [n, 4]."""
    amplitudes = model.views.repeat(changes[:, 0].astype(np.float32))
    layers = model.splines.value_transposed @ amplitudes
    return model.forward(layers + displaced_layers(model, changes[:, 1:], weights))


def _adjoint(model: ViewModel, spectra: Array, weights: Float32) -> Float64:
    """Apply the adjoint of `_changed`, [n, 4]."""
    layers = model.adjoint(spectra)
    amplitudes = model.sum_over_views(model.splines.value @ layers)
    return np.column_stack([amplitudes, forces(model, layers, weights)])


def _system(
    models: Sequence[ViewModel], spheres: Spheres, log_sizes: Float64, pool: Executor
) -> _System:
    unknowns = np.zeros((len(log_sizes), UNKNOWNS))
    unknowns[:, 0] = spheres.amplitudes
    unknowns[:, 1] = spheres.amplitudes * log_sizes
    weights = spheres.weights
    with_contrasts = partial(SizeModel.with_contrasts, unknowns=unknowns, weights=weights)
    sized = list(pool.map(with_contrasts, size_models(models)))
    views = [one.model for one in sized]
    _, inverse = displacement_blocks(views, spheres, pool)
    return _System(sized, spheres, unknowns, inverse, own_stiffness(views, len(weights)), pool)


def _errors(
    system: _System,
    few: _System,
    residuals: Sequence[Array],
    left: Sequence[Array],
    noise: Float32,
    size_errors: Float64,
) -> Float64:
    """Return the standard errors of the positions, [n, 3].

    Those of each sphere alone are scaled, along each axis, to those of all together, and near each
    sphere to the scatter that the residual causes.

    Parameters
    ----------
    few
        The same system for some of the images.
    residuals, left
        Images minus model, spectra for each group of views: before the positions are solved, and
        after it.
    noise
        Mean square of the noise near each sphere, [view, n].
    """
    particles = system.spheres.are_particles
    alone = _errors_alone(system, noise)
    rng = np.random.default_rng(0)
    drawn_scatter, by_noise, by_sizes = np.zeros(len(alone)), np.zeros(3), np.zeros(3)
    draws = min(MOST_DRAWS, -(-DRAWN_PARTICLES // int(particles.sum())))

    def squares(solution: Float64) -> Float64:
        moves = without_rigid_motion(solution[particles, 1:], system.spheres.centres_nm[particles])
        return np.asarray(np.mean((moves / alone[particles]) ** 2, axis=0) / draws, np.float64)

    for _ in range(draws):
        drawn = _drawn_noise(system, residuals, left, rng)
        solution = system.solve(drawn)
        drawn_scatter += system.scatter(system.left(drawn, solution)) / draws
        by_noise += squares(solution)
        by_sizes += squares(few.solve(_drawn_sizes(few, size_errors, rng)))
    excess = system.scatter(left) / np.maximum(drawn_scatter, 1e-30)
    return np.asarray(np.sqrt(excess[:, None] * by_noise + by_sizes) * alone, np.float64)


def _errors_alone(system: _System, noise: Float32) -> Float64:
    """Return the errors [n, 3] by noise if each sphere were alone in the images."""
    number = len(system.spheres.weights)
    exact, noisy = np.zeros((2, number, 3, 3))
    stiffness_of = stiffness_by_series([one.model for one in system.models])
    first = 0
    for each in system.models:
        model, views = each.model, each.model.views
        own_noise = noise[first : first + len(views)]
        first += len(views)
        stiffness = stiffness_of[views.series][:, 1:]
        in_images = np.stack(
            [
                views.imager.device.to_host(model.of_slots(model.contrasts**2 * axis))
                for axis in stiffness.T
            ],
            axis=-1,
        )
        squares = np.einsum("vki,vkj->vkij", views.axes[:, :2], views.axes[:, :2])
        exact += _weighted(in_images, squares)
        noisy += _weighted(in_images * own_noise[..., None], squares)
    ridge = 1e-6 * float(np.median(np.trace(exact, axis1=1, axis2=2)))
    inverse = np.linalg.inv(exact + max(ridge, 1e-30) * np.eye(3))
    variances = np.einsum("nij,njk,nki->ni", inverse, noisy, inverse)
    amplitudes = np.maximum(system.spheres.amplitudes, LEAST_AMPLITUDE)
    return np.asarray(np.sqrt(np.maximum(variances, 1e-30)) / amplitudes[:, None], np.float64)


def _weighted(weights: Float64, blocks: Float64) -> Float64:
    """Return the sums [n, 3, 3] of blocks [view, axis, 3, 3] by weights [view, n, axis]."""
    by_sphere = np.moveaxis(weights, 1, 0).reshape(weights.shape[1], -1)
    return np.asarray((by_sphere @ blocks.reshape(-1, 9)).reshape(-1, 3, 3), np.float64)


def _drawn_noise(
    system: _System, residuals: Sequence[Array], left: Sequence[Array], rng: np.random.Generator
) -> list[Array]:
    """Return spectra of noise like that of the images."""

    def drawn(views: Views, residual: Array, left: Array, white: Float32) -> Array:
        imager = views.imager
        energy = noise_energy(imager, views.spectra - residual, left)
        strength = imager.device.xp.sqrt(energy / imager.band_power)
        return imager.spectra(imager.device.to_device(white) * strength)

    views = [one.model.views for one in system.models]
    shapes = [(len(each), *each.imager.shape) for each in views]
    white = [rng.standard_normal(shape, np.float32) for shape in shapes]
    return list(system.pool.map(drawn, views, residuals, left, white))


def _drawn_sizes(system: _System, size_errors: Float64, rng: np.random.Generator) -> list[Array]:
    """Return spectra of errors of the sizes."""
    weights = system.spheres.weights
    changes = np.zeros_like(system.unknowns)
    changes[:, 1] = weights * size_errors * rng.standard_normal(len(weights))
    return list(system.pool.map(lambda one: one.forward(changes, weights), system.models))
