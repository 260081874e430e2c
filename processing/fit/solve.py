"""The spheres' amplitudes and places that best explain all images together.

Both are least squares over all spheres at once, for neighbours overlap in projection: amplitudes
by an accelerated projected gradient, which leaves what is no particle at zero (Beck and Teboulle
2009), places by Gauss and Newton's step, solved by preconditioned conjugate gradients with damping
(Levenberg 1944).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import numpy as np

from processing.fit.look import Look
from processing.fit.view import REAL, Spheres
from processing.reconstruct.sirt import momentum_gains
from processing.series import Float32, Float64

Result = TypeVar("Result")

AMPLITUDE_STEPS = 6
POWER_STEPS = 6
POWER_EVERY = 6
"""The views whose overlaps stand for all."""
STEP_MARGIN = 1.1
"""The largest eigenvalue is known to about so much."""
PLACE_STEPS = 5
DAMPING = 0.05
"""Of a sphere's own stiffness: layers that line up hold one another in place badly."""


def fitted_amplitudes(looks: list[Look], spheres: Spheres, pool: Executor) -> Float64:
    """Amplitudes [n] >= 0, their median over the particles 1."""
    own = _own_stiffness(looks, len(spheres.amplitudes))
    inverse_step = np.float32(
        STEP_MARGIN * _largest_eigenvalue(looks[::POWER_EVERY], len(own), pool)
    )

    def pulled(weights: Float32) -> Float32:
        def pull(seen: Look) -> Float32:
            left = seen.residual(weights)
            return np.asarray(seen.placed.value @ seen.gathered(left), np.float32)

        return _sum(pool, pull, looks) / own

    now = ahead = spheres.weights
    for gain in momentum_gains(AMPLITUDE_STEPS):
        step = np.maximum(ahead + pulled(ahead) / inverse_step, 0)
        now, ahead = step, step + gain * (step - now)
    particles = now[now > REAL]
    typical = float(np.median(particles)) if particles.size else 1.0
    return np.asarray(now / typical, np.float64)


def _own_stiffness(looks: list[Look], spheres: int) -> Float32:
    """Squared norm of each sphere's images, [n]."""
    stiffness = _stiffness(looks)
    own = np.zeros(spheres, np.float32)
    for seen in looks:
        own += (seen.contrasts**2 * stiffness[seen.view.series][:, 0])[seen.layer]
    return np.asarray(np.maximum(own, 1e-6 * own.max()), np.float32)


def _largest_eigenvalue(looks: list[Look], spheres: int, pool: Executor) -> float:
    """Of how spheres overlap in the images, over their own stiffness, by power iteration.

    From some of the views, in which spheres overlap no less than in all.
    """
    own = _own_stiffness(looks, spheres)
    vector = np.full(len(own), len(own) ** -0.5, np.float32)
    value = 1.0
    for _ in range(POWER_STEPS):

        def mix(seen: Look, weights: Float32 = vector) -> Float32:
            drawn = seen.drawn(seen.placed.value.T @ weights)
            return np.asarray(seen.placed.value @ seen.gathered(drawn), np.float32)

        image = _sum(pool, mix, looks) / own
        value = max(float(np.linalg.norm(image)), 1e-30)
        vector = image / np.float32(value)
    return value


def displacements(looks: list[Look], spheres: Spheres, pool: Executor) -> Float64:
    """How far each sphere should move, [n, (x, y, z)], nm; dust stays."""
    weights = spheres.weights
    moving = spheres.amplitudes > REAL
    stiffness = _stiffness(looks)

    def pull_on_all(seen: Look, image: Float32) -> Float64:
        along_y = weights * (seen.placed.slope_y @ image)
        along_u = weights * (seen.placed.slope_u @ image)
        axes = seen.view.axes
        return np.asarray(np.outer(along_y, axes[0]) + np.outer(along_u, axes[1]), np.float64)

    def pull(seen: Look) -> Float64:
        left = seen.residual(weights)
        return pull_on_all(seen, seen.gathered(left))

    def held(seen: Look) -> Float64:
        own = (seen.contrasts[:, None] ** 2 * stiffness[seen.view.series][:, 1:])[
            seen.layer
        ] * weights[:, None] ** 2
        axes = seen.view.axes
        squares = np.stack([np.outer(axes[0], axes[0]), np.outer(axes[1], axes[1])])
        return np.asarray(np.tensordot(own, squares, 1), np.float64)

    own = _sum(pool, held, looks)
    trace = np.trace(own, axis1=1, axis2=2)
    typical = float(np.median(trace[moving])) if moving.any() else 1.0
    damping = DAMPING * (trace + typical) / 3
    inverse = np.linalg.inv(own + damping[:, None, None] * np.eye(3))

    def resisted(moves: Float64) -> Float64:
        def resist(seen: Look) -> Float64:
            dy, du = (moves @ seen.view.axes[:2].T).T.astype(np.float32) * weights
            splines = seen.placed.slope_y.T @ dy + seen.placed.slope_u.T @ du
            return pull_on_all(seen, seen.gathered(seen.drawn(splines)))

        resistance: Float64 = _sum(pool, resist, looks) + damping[:, None] * moves
        return resistance * moving[:, None]

    def preconditioned(force: Float64) -> Float64:
        free: Float64 = np.einsum("nij,nj->ni", inverse, force)
        return free * moving[:, None]

    return _conjugate_gradients(
        resisted, _sum(pool, pull, looks) * moving[:, None], preconditioned, PLACE_STEPS
    )


def _stiffness(looks: list[Look]) -> dict[int, Float64]:
    """Of one sphere of contrast 1, [layer, 3] for each series: `Camera.stiffness`."""
    first = {seen.view.series: seen for seen in reversed(looks)}
    return {series: seen.view.camera.stiffness(seen.beam.kernels) for series, seen in first.items()}


def _conjugate_gradients(
    product: Callable[[Float64], Float64],
    right: Float64,
    preconditioned: Callable[[Float64], Float64],
    steps: int,
) -> Float64:
    """Solve product(x) = right."""
    solution = np.zeros_like(right)
    left = right.copy()
    direction = preconditioned(left)
    size = float((left * direction).sum())
    for _ in range(steps):
        if size <= 0:
            break
        image = product(direction)
        length = size / float((direction * image).sum())
        solution += length * direction
        left -= length * image
        better = preconditioned(left)
        next_size = float((left * better).sum())
        direction = better + next_size / size * direction
        size = next_size
    return solution


def _sum(pool: Executor, part: Callable[[Look], Result], looks: list[Look]) -> Result:
    """Sum of `part` over all looks, as they come."""
    parts = pool.map(part, looks)
    total = next(parts)
    for more in parts:
        total += more  # type: ignore[operator]
    return total
