"""Least-squares solvers for the amplitudes and positions of all spheres together.

Neighbours overlap in projection, so all spheres are solved at once. Amplitudes are found by an
accelerated projected gradient, which leaves false candidates at zero (Beck and Teboulle 2009).
Positions are found by a Gauss-Newton step with damping (Levenberg 1944), solved by preconditioned
conjugate gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from processing.device import Array
from processing.fit.view import LEAST_AMPLITUDE, Spheres, Views, every
from processing.fit.view_model import ViewModel
from processing.reconstruct.sirt import momentum_gains
from processing.series import Float32, Float64

Summand = TypeVar("Summand")
Model = TypeVar("Model")

AMPLITUDE_STEPS = 6
POWER_STEPS = 6
POWER_EVERY = 6
"""Interval between the views used in the power iteration."""
STEP_MARGIN = 1.1
"""Safety factor on the largest eigenvalue, which is known to about 10 %."""
POSITION_STEPS = 5
DAMPING = 0.05
"""Damping as a fraction of each sphere's stiffness, for layers that line up in projection.

Aligned layers constrain one another's positions only weakly.
"""


def fit_amplitudes(models: list[ViewModel], spheres: Spheres, pool: Executor) -> Float64:
    """Return amplitudes [n] >= 0, scaled to a median of 1 over the particles."""
    own = own_stiffness(models, len(spheres.amplitudes))
    inverse_step = np.float32(
        STEP_MARGIN * _largest_eigenvalue(every(models, POWER_EVERY), len(own), pool)
    )

    def descent(weights: Float32) -> Float32:
        def one(model: ViewModel) -> Float32:
            images = model.adjoint(model.residual(weights))
            return model.sum_over_views(model.splines.read(images))

        return sum_models(pool, one, models) / own

    now = ahead = spheres.weights
    for gain in momentum_gains(AMPLITUDE_STEPS):
        step = np.maximum(ahead + descent(ahead) / inverse_step, 0)
        now, ahead = step, step + gain * (step - now)
    particles = now[now > LEAST_AMPLITUDE]
    typical = float(np.median(particles)) if particles.size else 1.0
    return np.asarray(now / typical, np.float64)


def own_stiffness(models: list[ViewModel], spheres: int) -> Float32:
    """Return the squared norm of the images of each sphere, [n]."""
    stiffness = stiffness_by_series(models)
    own = np.zeros(spheres, np.float32)
    for model in models:
        in_slots = model.contrasts**2 * stiffness[model.views.series][:, 0]
        own += model.sum_over_views(model.of_slots(in_slots))
    # images without any contrast at the spheres would give 0
    return np.asarray(np.maximum(own, max(1e-6 * own.max(), 1e-30)), np.float32)


def _largest_eigenvalue(models: list[ViewModel], spheres: int, pool: Executor) -> float:
    """Return the largest eigenvalue of the spheres' overlap matrix, by power iteration.

    Each row of the matrix is divided by the stiffness of its sphere. A subset of the views is
    enough: spheres overlap in it as much as in all views.
    """
    own = own_stiffness(models, spheres)
    vector = np.full(len(own), len(own) ** -0.5, np.float32)
    value = 1.0
    for _ in range(POWER_STEPS):

        def overlap(model: ViewModel, weights: Float32 = vector) -> Float32:
            images = model.adjoint(model.project(weights))
            return model.sum_over_views(model.splines.read(images))

        product = sum_models(pool, overlap, models) / own
        value = max(float(np.linalg.norm(product)), 1e-30)
        vector = product / np.float32(value)
    return value


def solve_displacements(models: list[ViewModel], spheres: Spheres, pool: Executor) -> Float64:
    """Return the displacement of each sphere, [n, (x, y, z)], nm; false candidates stay."""
    weights = spheres.weights
    particles = spheres.are_particles
    damping, inverse = displacement_blocks(models, spheres, pool)

    def residual_forces(model: ViewModel) -> Float64:
        return pulls(model, model.adjoint(model.residual(weights)), weights)[:, 1:]

    def normal_product(moves: Float64) -> Float64:
        changes = np.insert(moves, 0, 0.0, axis=1)

        def one(model: ViewModel) -> Float64:
            moved = model.forward(changed_layers(model, changes, weights))
            return pulls(model, model.adjoint(moved), weights)[:, 1:]

        product: Float64 = sum_models(pool, one, models) + damping[:, None] * moves
        return product * particles[:, None]

    def precondition(force: Float64) -> Float64:
        moves: Float64 = np.einsum("nij,nj->ni", inverse, force)
        return moves * particles[:, None]

    right = sum_models(pool, residual_forces, models) * particles[:, None]
    return conjugate_gradients(normal_product, right, precondition, POSITION_STEPS)


def pulls(model: ViewModel, layer_images: Array, weights: Float32) -> Float64:
    """Return how layer images pull at the amplitude and at x, y and z of each sphere, [n, 4].

    This is the adjoint of `changed_layers`.
    """
    views, device = model.views, model.views.imager.device
    read = model.splines.read_slopes(layer_images).reshape(3, len(views), -1)
    read[1:] *= device.to_device(weights)
    to_spheres = device.to_device(np.swapaxes(_in_images(views), 1, 2))
    summed = (to_spheres @ device.xp.swapaxes(read, 0, 1)).sum(axis=0)
    return np.asarray(device.to_host(summed).T, np.float64)


def changed_layers(model: ViewModel, changes: Float64, weights: Float32) -> Array:
    """Return the change of the layer images, flat, by changes of the spheres.

    Parameters
    ----------
    changes
        [n, 4], of the amplitude and of x, y and z (nm).
    weights
        Amplitudes [n] of the spheres that are displaced.
    """
    views, device = model.views, model.views.imager.device
    put = device.to_device
    seen = put(_in_images(views)) @ put(np.ascontiguousarray(changes.T, np.float32))
    seen[:, 1:] *= put(weights)
    return model.splines.spread_changes(device.xp.swapaxes(seen, 0, 1).reshape(3, -1))


def _in_images(views: Views) -> Float32:
    """Return the matrices [view, 3, 4] from changes of a sphere to those in the image.

    These are the amplitude and the place along y and u (px).
    """
    matrices = np.zeros((len(views), 3, 4), np.float32)
    matrices[:, 0, 0] = 1
    matrices[:, 1:, 1:] = views.axes[:, :2]
    return matrices


def displacement_blocks(
    models: Sequence[ViewModel], spheres: Spheres, pool: Executor
) -> tuple[Float64, Float64]:
    """Return the damping [n] of the displacements, and the inverse of the damped blocks.

    The blocks [n, 3, 3] are those of each sphere alone.
    """
    weights, particles = spheres.weights, spheres.are_particles
    stiffness = stiffness_by_series(models)

    def diagonal_blocks(model: ViewModel) -> Float64:
        views, device = model.views, model.views.imager.device
        gradients = stiffness[views.series][:, 1:]
        own = [model.of_slots(model.contrasts**2 * gradient) for gradient in gradients.T]
        in_images = device.xp.stack(own, axis=-1) * device.to_device(weights)[:, None] ** 2
        squares = np.einsum("vki,vkj->vkij", views.axes[:, :2], views.axes[:, :2])
        blocks = in_images @ device.to_device(squares.reshape(len(views), 2, 9))
        return np.asarray(device.to_host(blocks.sum(axis=0)).reshape(-1, 3, 3), np.float64)

    blocks = sum_models(pool, diagonal_blocks, models)
    trace = np.trace(blocks, axis1=1, axis2=2)
    typical = float(np.median(trace[particles])) if particles.any() else 1.0
    damping = DAMPING * (trace + typical) / 3
    return damping, np.linalg.inv(blocks + damping[:, None, None] * np.eye(3))


def stiffness_by_series(models: Sequence[ViewModel]) -> dict[int, Float64]:
    """Return `SphereImager.stiffness` [slot, 3] for each series, at contrast 1."""
    first = {model.views.series: model for model in reversed(models)}
    return {
        series: model.views.imager.stiffness(model.beam.kernels) for series, model in first.items()
    }


def conjugate_gradients(
    product: Callable[[Float64], Float64],
    right: Float64,
    precondition: Callable[[Float64], Float64],
    steps: int,
    more_steps: int = 0,
    tolerance: float = 0.0,
) -> Float64:
    """Solve product(x) = right by preconditioned conjugate gradients.

    After `steps`, it goes on for up to `more_steps` while the preconditioned residual is above the
    fraction `tolerance` of the first.
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = precondition(residual)
    size = float((residual * direction).sum())
    enough = tolerance**2 * size
    for step in range(steps + more_steps):
        if size <= (0 if step < steps else enough):
            break
        image = product(direction)
        length = size / float((direction * image).sum())
        solution += length * direction
        residual -= length * image
        preconditioned = precondition(residual)
        next_size = float((residual * preconditioned).sum())
        direction = preconditioned + next_size / size * direction
        size = next_size
    return solution


def sum_models(
    pool: Executor, summand: Callable[[Model], Summand], models: Sequence[Model]
) -> Summand:
    """Sum `summand` over all models, without keeping the summands."""
    parts = pool.map(summand, models)
    total = next(parts)
    for more in parts:
        total += more  # type: ignore[operator]
    return total
