"""Least-squares solvers for the amplitudes and rigid motions of all bodies together.

They are those of `processing/fit/solve.py`, with the balls of a body tied together: a body has one
amplitude, and its balls move by its shift and its rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np

from processing.fit.solve import (
    changed_layers,
    conjugate_gradients,
    displacement_blocks,
    pulls,
    sum_models,
)
from processing.fit.view import LEAST_AMPLITUDE, Spheres, every
from processing.fit.view_model import ViewModel
from processing.reconstruct.sirt import momentum_gains
from processing.series import Float32, Float64

AMPLITUDE_STEPS = 12
POWER_STEPS = 6
POWER_EVERY = 6
"""Interval between the views used in the power iteration."""
STEP_MARGIN = 1.1
"""Safety factor on the largest eigenvalue, which is known to about 10 %."""
MOTION_STEPS = 10
"""Steps of the conjugate gradients."""


@dataclass(frozen=True, eq=False)
class Levers:
    """Arms from the centre of each body to its balls.

    Attributes
    ----------
    arms_nm
        [body and ball, 3].
    each
        Number of balls of a body.
    scale_nm
        Length that turns a rotation vector into nm.
    """

    arms_nm: Float64
    each: int
    scale_nm: float

    def moves(self, motions: Float64) -> Float64:
        """Return the moves [body and ball, 3] of the balls by motions [body, 6], all nm."""
        shifts, spins = np.repeat(motions, self.each, axis=0).reshape(-1, 2, 3).swapaxes(0, 1)
        return np.asarray(shifts + np.cross(spins / self.scale_nm, self.arms_nm), np.float64)

    def gather(self, of_balls: Float64) -> Float64:
        """Return the sums [body, 6] of forces [body and ball, 3] and of their torques."""
        torques = np.cross(self.arms_nm, of_balls) / self.scale_nm
        both = np.concatenate([of_balls, torques], axis=1)
        return np.asarray(both.reshape(-1, self.each, 6).sum(axis=1), np.float64)

    def gather_blocks(self, blocks: Float64) -> Float64:
        """Return blocks [body, 6, 6] of motions from those of the balls, [body and ball, 3, 3]."""
        arms = self.arms_nm / self.scale_nm
        zero = np.zeros(len(arms))
        x, y, z = arms.T
        # spin x arm as a matrix on the spin
        turning = np.array([[zero, z, -y], [-z, zero, x], [y, -x, zero]]).transpose(2, 0, 1)
        identity = np.broadcast_to(np.eye(3), turning.shape)
        jacobian = np.concatenate([identity, turning], axis=2)
        own = np.einsum("nij,nik,nkl->njl", jacobian, blocks, jacobian)
        return np.asarray(own.reshape(-1, self.each, 6, 6).sum(axis=1), np.float64)


def fit_body_amplitudes(
    models: list[ViewModel], balls: Spheres, each: int, pool: Executor
) -> Float64:
    """Return amplitudes [body] >= 0, scaled to a median of 1 over the particles."""
    now = ahead = balls.weights[::each]

    def of_balls(weights: Float32) -> Float32:
        return np.repeat(weights, each)

    def overlap(weights: Float32, model: ViewModel) -> Float32:
        images = model.adjoint(model.project(of_balls(weights)))
        return _summed(model.sum_over_views(model.splines.read(images)), each)

    def descent(weights: Float32, model: ViewModel) -> Float32:
        images = model.adjoint(model.residual(of_balls(weights)))
        return _summed(model.sum_over_views(model.splines.read(images)), each)

    some = every(models, POWER_EVERY)
    share = sum(map(len, some)) / sum(map(len, models))
    vector = np.full(len(now), len(now) ** -0.5, np.float32)
    value = 1e-30
    for _ in range(POWER_STEPS):
        product = sum_models(pool, partial(overlap, vector), some)
        value = max(float(np.linalg.norm(product)), 1e-30)
        vector = product / np.float32(value)
    step = np.float32(share / (STEP_MARGIN * value))
    for gain in momentum_gains(AMPLITUDE_STEPS):
        gradient = sum_models(pool, partial(descent, ahead), models)
        moved = np.maximum(ahead + step * gradient, 0)
        now, ahead = moved, moved + gain * (moved - now)
    particles = now[now > LEAST_AMPLITUDE]
    typical = float(np.median(particles)) if particles.size else 1.0
    return np.asarray(now / typical, np.float64)


def _summed(of_balls: Float32, each: int) -> Float32:
    return np.asarray(of_balls.reshape(-1, each).sum(axis=1), np.float32)


def solve_motions(
    models: Sequence[ViewModel], balls: Spheres, levers: Levers, damping: float, pool: Executor
) -> Float64:
    """Return the shift and the rotation vector of each body, [body, 6]; faint ones stay.

    Shifts are in nm, rotation vectors in radian.

    Parameters
    ----------
    damping
        Damping of a motion, as a fraction of the stiffness of a typical body.
    """
    weights = balls.weights
    held = balls.are_particles[:: levers.each, None]
    ball_damping, inverse = displacement_blocks(models, balls, pool)
    blocks = np.linalg.inv(inverse) - ball_damping[:, None, None] * np.eye(3)
    # the images of a body's balls overlap, so that they are stiffer together than each alone
    own = levers.each * levers.gather_blocks(blocks)
    trace = np.trace(own, axis1=1, axis2=2) / 6
    typical = float(np.median(trace[held[:, 0]])) if held.any() else 1.0
    damped = (damping * (trace + typical))[:, None]
    inverse_blocks = np.linalg.inv(own + damped[:, :, None] * np.eye(6))

    def pull(model: ViewModel) -> Float64:
        left = model.adjoint(model.residual(weights))
        return levers.gather(pulls(model, left, weights)[:, 1:])

    def normal_product(motions: Float64) -> Float64:
        changes = np.insert(levers.moves(motions), 0, 0.0, axis=1)

        def one(model: ViewModel) -> Float64:
            moved = model.forward(changed_layers(model, changes, weights))
            return levers.gather(pulls(model, model.adjoint(moved), weights)[:, 1:])

        return np.asarray((sum_models(pool, one, models) + damped * motions) * held, np.float64)

    def precondition(force: Float64) -> Float64:
        return np.asarray(np.einsum("nij,nj->ni", inverse_blocks, force) * held, np.float64)

    right = sum_models(pool, pull, models) * held
    motions = conjugate_gradients(normal_product, right, precondition, MOTION_STEPS)
    motions[:, 3:] /= levers.scale_nm
    return motions
