"""Normal equations of the positions of spheres that have their own diameters."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np

from processing.device import Array
from processing.fit.free_poses import FreePoses
from processing.fit.residual_moves import joint_factors
from processing.fit.size_model import UNKNOWNS, SizeModel, size_models
from processing.fit.solve import (
    changed_layers,
    conjugate_gradients,
    displacement_blocks,
    own_stiffness,
    pulls,
    sum_models,
)
from processing.fit.view import Spheres
from processing.fit.view_model import ViewModel
from processing.progress import Progress, silent
from processing.series import Float32, Float64

STAGE = "positions of the particles"
FEWEST_STEPS, MORE_STEPS, TOLERANCE = 4, 36, 0.03
"""Steps of conjugate gradients, which go on until the fraction of the forces that is left is small.
Layers that line up converge slowly, along the beam above all. Solutions of fewer steps leave a part
of the errors in the positions, and leave out another part of those that the noise causes."""


@dataclass(frozen=True, eq=False)
class PositionSystem:
    """Normal equations of amplitudes and displacements, for spheres of known sizes.

    Changes [n, 4] are those of the amplitude and of x, y and z (nm). The poses are eliminated.

    Attributes
    ----------
    poses
        Changes of the images by their poses, for each group of views.
    unknowns
        State at which the equations are linear, [n, UNKNOWNS]; the displacements are 0.
    inverse
        Inverse block of the displacements of each sphere alone, [n, 3, 3].
    own
        Squared norm of the images of each sphere, [n].
    """

    models: list[SizeModel]
    poses: list[FreePoses]
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
        """Return what changes [n, 4], and the best poses with them, leave of spectra."""
        weights = self.spheres.weights

        def left(one: SizeModel, poses: FreePoses, each: Array) -> Array:
            changed = one.model.forward(changed_layers(one.model, changes, weights))
            return poses.without(each - changed)

        return list(self.pool.map(left, self.models, self.poses, spectra))

    def solve(
        self, spectra: Sequence[Array], more_steps: int = MORE_STEPS, progress: Progress = silent
    ) -> Float64:
        """Return changes [n, 4] that explain spectra best; false candidates stay.

        Parameters
        ----------
        more_steps
            Largest number of steps after the first `FEWEST_STEPS`.
        """
        weights, particles = self.spheres.weights, self.spheres.are_particles[:, None]
        groups = list(zip(self.models, self.poses, strict=True))
        steps = count(1)

        def adjoint(group: tuple[SizeModel, FreePoses, Array]) -> Float64:
            one, poses, each = group
            return pulls(one.model, one.model.adjoint(poses.without(each)), weights)

        def normal_product(changes: Float64) -> Float64:
            def product(group: tuple[SizeModel, FreePoses]) -> Float64:
                one, poses = group
                changed = one.model.forward(changed_layers(one.model, changes, weights))
                return pulls(one.model, one.model.adjoint(poses.without(changed)), weights)

            result: Float64 = sum_models(self.pool, product, groups)
            progress(STAGE, next(steps) / (FEWEST_STEPS + more_steps))
            return result * particles

        def precondition(right: Float64) -> Float64:
            moves = np.einsum("nij,nj->ni", self.inverse, right[:, 1:])
            return np.column_stack([right[:, 0] / self.own, moves]) * particles

        right: Float64 = sum_models(
            self.pool, adjoint, list(zip(self.models, self.poses, spectra, strict=True))
        )
        return conjugate_gradients(
            normal_product, right * particles, precondition, FEWEST_STEPS, more_steps, TOLERANCE
        )

    def joint_factors(self, rng: np.random.Generator) -> list[Float32]:
        """Return random factors of the images, much the same in tilts near one another."""
        views = [one.model.views for one in self.models]
        numbers = [len(each) for each in views]
        series = np.repeat([each.series for each in views], numbers)
        factors = joint_factors(np.concatenate([each.axes for each in views]), series, rng)
        return np.split(factors, np.cumsum(numbers)[:-1])

    def scaled(self, spectra: Sequence[Array], factors: Sequence[Float32]) -> list[Array]:
        """Return spectra times a factor for each image."""
        to_device = self.models[0].model.views.imager.device.to_device
        return [
            each * to_device(factor)[:, None, None]
            for each, factor in zip(spectra, factors, strict=True)
        ]


def position_system(
    models: Sequence[ViewModel], spheres: Spheres, log_sizes: Float64, pool: Executor
) -> PositionSystem:
    unknowns = np.zeros((len(log_sizes), UNKNOWNS))
    unknowns[:, 0] = spheres.amplitudes
    unknowns[:, 1] = spheres.amplitudes * log_sizes
    weights = spheres.weights
    with_contrasts = partial(SizeModel.with_contrasts, unknowns=unknowns, weights=weights)
    sized = list(pool.map(with_contrasts, size_models(models)))
    views = [one.model for one in sized]
    _, inverse = displacement_blocks(views, spheres, pool)
    poses = list(pool.map(partial(FreePoses.of, spheres=spheres), views))
    own = own_stiffness(views, len(weights))
    return PositionSystem(sized, poses, spheres, unknowns, inverse, own, pool)
