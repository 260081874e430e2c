"""Final positions of fitted spheres, and their standard errors.

The fit takes all spheres of a kind for equal, so that those of other sizes pull their neighbours.
Here every sphere has its own diameter, and amplitudes and positions of all spheres are solved once
more.

The errors come from the same equations. Noise like that of the images, displacements of their lines
like those that the residual shows, and size changes as large as the errors of the diameters are put
in place of the residual. The positions that they cause have the covariance of the least-squares
solution (the inverse of the Fisher information), with the overlap of neighbours and unknown poses
in it. The model of the image is not exact either: near each sphere the errors are scaled by how
far the residual moves the spheres, over how far noise and lines move them, all of them times random
factors that last over some tilts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from processing.device import Array
from processing.fit.evidence import noise_energy
from processing.fit.line_jitter import drawn_jitter, row_pulls, row_slopes, squared_jitter
from processing.fit.position_system import PositionSystem, position_system
from processing.fit.residual_moves import average_nearby, without_rigid_motion
from processing.fit.solve import stiffness_by_series
from processing.fit.spheres import SphereFit
from processing.fit.view import LEAST_AMPLITUDE, Views, every
from processing.fit.view_model import ViewModel, model_views
from processing.progress import Progress, silent, within
from processing.series import Float32, Float64

SIZE_VIEWS = 24
"""Largest number of images, evenly spaced, in which errors of the sizes move the spheres: they move
them as far in some images as in all."""
LARGEST_MOVE = 0.1
"""Largest displacement by the last solution, in sphere diameters."""
DRAWN_PARTICLES, MOST_DRAWS = 600, 3
"""Particles of all draws together, which find the errors within a few percent: those of one line
move together, and count as few. Largest number of draws."""
POSITION_STEPS = 16
"""Largest number of further steps for the positions: 36 bring them no nearer to the true ones. The
errors along the beam need all 36."""
JITTER_STEPS, LAST_STEPS = 6, 26
"""Further steps for noise and lines alone, which tell the jitter within 3 % of what 36 steps tell,
and then for both together."""

SCALED_DRAWS, SCALED_STEPS = 4, 4
"""Draws of joint factors, and further steps of each solution: 26 tell the excess within 5 %."""

SOLVED, DRAWN, SIZED, BY_NOISE, BY_LINES = 0.3, 0.5, 0.6, 0.2, 0.4
"""Parts of the progress: of the positions, the rest are their errors; in each draw of these what
noise and lines cause; in that the noise alone, and noise and lines alone."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Positions of all candidates and their standard errors, both [n, 3] as (x, y, z).

    Errors that all spheres share are not included. False candidates have NaN as their error, and
    all have where none were measured.
    """

    centres_nm: Float64
    errors_nm: Float64


def measure_positions(
    fit: SphereFit, log_sizes: Float64, size_errors: Float64 | None, *, progress: Progress = silent
) -> Positions:
    """Return the positions of spheres that have their own diameters, and their errors.

    Parameters
    ----------
    log_sizes
        [n], logarithm of each diameter over that of the sphere's kind.
    size_errors
        [n], its standard error; None to measure no errors, which take two thirds of the time.
    """
    spheres, errors = fit.spheres, np.full(fit.centres_nm.shape, np.nan)
    particles = spheres.are_particles
    if not particles.any():
        return Positions(fit.centres_nm, errors)
    with fit.views[0].imager.device.executor() as pool:
        models = list(pool.map(partial(_model, fit), fit.views))
        system = position_system(models, spheres, log_sizes, pool)
        residuals = system.residuals()
        solution = system.solve(residuals, POSITION_STEPS, within(progress, 0.0, SOLVED))
        if size_errors is not None:
            left = system.left(residuals, solution)
            step = -(-sum(map(len, fit.views)) // SIZE_VIEWS)
            few = position_system(every(models, step), spheres, log_sizes, pool)
            shown = within(progress, SOLVED, 1.0)
            found = _errors(system, few, residuals, left, fit.evidence.noise, size_errors, shown)
            errors[particles] = found[particles]
    moves = solution[:, 1:]
    moves[particles] = without_rigid_motion(moves[particles], spheres.centres_nm[particles])
    largest_nm = LARGEST_MOVE * _diameter_nm(fit.views[0])
    centres_nm = fit.centres_nm + np.clip(moves, -largest_nm, largest_nm)
    return Positions(centres_nm, errors)


def _model(fit: SphereFit, views: Views) -> ViewModel:
    return model_views(views, fit.beams[views.series], fit.spheres)


def _diameter_nm(views: Views) -> float:
    return float(views.imager.diameter_px / np.linalg.norm(views.axes[0, 0]))


def _errors(
    system: PositionSystem,
    few: PositionSystem,
    residuals: Sequence[Array],
    left: Sequence[Array],
    noise: Float32,
    size_errors: Float64,
    progress: Progress,
) -> Float64:
    """Return the standard errors of the positions, [n, 3].

    Those of each sphere alone are scaled, along each axis, to those of all together, and near each
    sphere by what the residual moves the spheres over what noise and lines do. Errors of the model
    only add to these: where the residual moves less, it is because the fit has adapted to it.

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
    draws = min(MOST_DRAWS, -(-DRAWN_PARTICLES // int(particles.sum())))
    in_images, by_sizes, by_left, by_drawn = np.zeros((4, int(particles.sum()), 3))

    def squares(solution: Float64) -> Float64:
        moves = without_rigid_motion(solution[particles, 1:], system.spheres.centres_nm[particles])
        return np.asarray((moves / alone[particles]) ** 2, np.float64)

    for done in range(draws):
        shown = within(progress, done / draws, (done + 1) / draws)
        drawn, solution = _drawn_in_images(system, residuals, left, rng, within(shown, 0, DRAWN))
        in_images += squares(solution) / draws
        changed = _drawn_sizes(few, size_errors, rng)
        by_sizes += squares(few.solve(changed, progress=within(shown, DRAWN, SIZED))) / draws
        for of_left, of_drawn in _by_lasting(system, left, drawn, rng, within(shown, SIZED, 1)):
            by_left += squares(of_left)
            by_drawn += squares(of_drawn)
    centres_nm = system.spheres.centres_nm[particles]
    near_left, near_drawn = (
        average_nearby(by.sum(axis=1), centres_nm) for by in (by_left, by_drawn)
    )
    excess = np.ones(len(alone))
    # a particle or two have no moves but rigid ones
    excess[particles] = np.maximum(near_left / np.maximum(near_drawn, 1e-30), 1.0)
    squared = excess[:, None] * in_images.mean(axis=0) + by_sizes.mean(axis=0)
    return np.asarray(np.sqrt(squared) * alone, np.float64)


def _drawn_in_images(
    system: PositionSystem,
    residuals: Sequence[Array],
    left: Sequence[Array],
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[list[Array], Float64]:
    """Draw noise and displaced lines; return what the solution leaves of them, and the solution."""
    views = [one.model.views for one in system.models]
    modelled = [some.spectra - each for some, each in zip(views, residuals, strict=True)]
    slopes = list(system.pool.map(row_slopes, views, modelled))
    starts = [rng.standard_normal(each.shape[:2], np.float32) for each in slopes]
    noise = _drawn_noise(system, residuals, left, rng)
    lines = list(system.pool.map(drawn_jitter, views, slopes, starts))
    by_noise = system.solve(noise, JITTER_STEPS, within(progress, 0.0, BY_NOISE))
    by_lines = system.solve(lines, JITTER_STEPS, within(progress, BY_NOISE, BY_LINES))
    noise, lines = system.left(noise, by_noise), system.left(lines, by_lines)
    pulls = [row_pulls(views, slopes, each, system.pool) for each in (left, noise, lines)]
    jitter_px = float(np.sqrt(squared_jitter(*pulls)))
    together = [one + jitter_px * other for one, other in zip(noise, lines, strict=True)]
    rest = system.solve(together, LAST_STEPS, within(progress, BY_LINES, 1.0))
    return system.left(together, rest), by_noise + jitter_px * by_lines + rest


def _by_lasting(
    system: PositionSystem,
    left: Sequence[Array],
    drawn: Sequence[Array],
    rng: np.random.Generator,
    progress: Progress,
) -> Iterator[tuple[Float64, Float64]]:
    """Yield the solutions for two sets of images times random factors, the same for both.

    The factors last over tilts near one another, and so do the errors of a model.
    """
    for done in range(SCALED_DRAWS):
        factors = system.joint_factors(rng)
        shown = within(progress, done / SCALED_DRAWS, (done + 1) / SCALED_DRAWS)
        of_left, of_drawn = (
            system.solve(system.scaled(spectra, factors), SCALED_STEPS, within(shown, *part))
            for spectra, part in ((left, (0.0, 0.5)), (drawn, (0.5, 1.0)))
        )
        yield of_left, of_drawn


def _errors_alone(system: PositionSystem, noise: Float32) -> Float64:
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
    system: PositionSystem,
    residuals: Sequence[Array],
    left: Sequence[Array],
    rng: np.random.Generator,
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


def _drawn_sizes(
    system: PositionSystem, size_errors: Float64, rng: np.random.Generator
) -> list[Array]:
    """Return spectra of errors of the sizes."""
    weights = system.spheres.weights
    changes = np.zeros_like(system.unknowns)
    changes[:, 1] = weights * size_errors * rng.standard_normal(len(weights))
    return list(system.pool.map(lambda one: one.forward(changes, weights), system.models))
