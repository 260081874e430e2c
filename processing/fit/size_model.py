"""Linear model of some views in which each sphere has an amplitude, a size and a place of its own.

The unknowns of a sphere are its amplitude, its amplitude times the relative change of its diameter
at constant signal, and its displacement (nm).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from processing.device import Array
from processing.fit.beam import Beam, fit_contrasts
from processing.fit.imager import SphereImager, SphereKind
from processing.fit.kernel_basis import KernelBasis
from processing.fit.solve import changed_layers, pulls
from processing.fit.view_model import ViewModel
from processing.series import Float32, Float64

SIZE_STEP = 0.02
"""Relative step of the diameter in the numerical derivative of the form factor."""
UNKNOWNS = 5
"""Amplitude, amplitude times change of the diameter, and displacement along x, y and z."""


@dataclass(frozen=True, eq=False)
class SizeModel:
    """Linear model of some views.

    Attributes
    ----------
    model
        Model of the same views with spheres of the sizes of their kinds.
    slopes
        Derivative of the kernels by the logarithm of the diameter, [slot, ky, kx].
    basis
        Kernels and then slopes as sums of few spectra.
    """

    model: ViewModel
    slopes: Array
    basis: KernelBasis

    def forward(self, unknowns: Float64, weights: Float32) -> Array:
        """Return the spectra [view, ky, kx] of spheres with these unknowns [n, UNKNOWNS].

        `weights` [n] are the amplitudes at which displacements are linear.
        """
        imager = self.model.views.imager
        layers = [each.reshape(len(self.model), -1) for each in self._layers(unknowns, weights)]
        both = imager.device.xp.concat(layers, axis=1)
        return imager.blurred_sum(both, self.basis, self._contrasts)

    def adjoint(self, spectra: Array, weights: Float32) -> Float64:
        """Apply the adjoint of `forward`, [n, UNKNOWNS]."""
        model = self.model
        both = model.views.imager.blurred_layers(spectra, self.basis, self._contrasts)
        both = both.reshape(len(model), 2, -1)
        unchanged, changed = both[:, 0].ravel(), both[:, 1].ravel()
        by_size = model.sum_over_views(model.splines.read(changed))
        return np.insert(pulls(model, unchanged, weights), 1, by_size, axis=1)

    def residual(self, unknowns: Float64, weights: Float32) -> Array:
        """Return images minus model, [view, ky, kx]."""
        return self.model.views.spectra - self.forward(unknowns, weights)

    def with_contrasts(self, unknowns: Float64, weights: Float32) -> SizeModel:
        """Fit the contrast of each layer again, for spheres of these unknowns."""
        contrasts = fit_contrasts(self.model.views, self.in_slots(unknowns, weights))
        return replace(self, model=replace(self.model, contrasts=contrasts))

    def in_slots(self, unknowns: Float64, weights: Float32) -> Array:
        """Return the spectra of each slot at contrast 1, [view, slot, ky, kx]."""
        spectra_of = self.model.views.imager.layer_spectra
        unchanged, changed = map(spectra_of, self._layers(unknowns, weights))
        return unchanged * self.model.beam.kernels + changed * self.slopes

    @property
    def _contrasts(self) -> Float64:
        """Contrasts of the layers of unchanged spheres and of their change, [view, 2 slots]."""
        return np.tile(self.model.contrasts, (1, 2))

    def _layers(self, unknowns: Float64, weights: Float32) -> tuple[Array, Array]:
        """Return the layer images of spheres, flat, and those of the change by their size."""
        model = self.model
        places = changed_layers(model, np.delete(unknowns, 1, axis=1), weights)
        sizes = model.splines.spread(model.views.repeat(unknowns[:, 1].astype(np.float32)))
        return places, sizes


def size_models(models: Sequence[ViewModel]) -> list[SizeModel]:
    """Return the models of views with sizes; views of the same series share the slopes."""
    slopes: dict[int, tuple[Array, KernelBasis]] = {}
    for model in models:
        if model.views.series not in slopes:
            slopes[model.views.series] = _slopes(model.views.imager, model.beam)
    return [SizeModel(model, *slopes[model.views.series]) for model in models]


def _slopes(imager: SphereImager, beam: Beam) -> tuple[Array, KernelBasis]:
    """Return the slopes of the kernels by the size, and kernels and slopes as sums."""
    larger, smaller = (
        kernels_of_size(imager, beam, float(np.exp(step))) for step in (SIZE_STEP, -SIZE_STEP)
    )
    slopes = (larger - smaller) / np.float32(2 * SIZE_STEP)
    return slopes, imager.basis(imager.device.xp.concat([beam.kernels, slopes]))


def kernels_of_size(imager: SphereImager, beam: Beam, size: float) -> Array:
    """Return the kernels [slot, ky, kx] of spheres of another relative size and equal signal."""
    kinds = tuple(SphereKind(kind.size * size, kind.signal) for kind in imager.kinds)
    return imager.kernels_of(kinds, beam.blur_px, beam.common_px)


def products(models: Sequence[SizeModel], noise: Float32, number: int) -> tuple[Float64, Float64]:
    """Return inner products of the images of each sphere, and the covariance of their noise.

    Both are [n, 2, 2], over amplitude and change. `noise` [view, n] is its mean square near each
    sphere in all views.
    """
    exact, noisy = np.zeros((2, number, 2, 2))
    of_slots: dict[tuple[int, int, int], tuple[Float64, Float64]] = {}
    first = 0
    for each in models:
        model, imager = each.model, each.model.views.imager
        own_noise = noise[first : first + len(model)]
        first += len(model)
        kernels = model.beam.kernels, each.slopes
        for row, column in ((0, 0), (0, 1), (1, 1)):
            key = model.views.series, row, column
            if key not in of_slots:
                of_slots[key] = imager.products(kernels[row], kernels[column])
            squares, covariances = (
                imager.device.to_host(model.of_slots(model.contrasts**2 * part))
                for part in of_slots[key]
            )
            exact[:, row, column] += squares.sum(axis=0)
            noisy[:, row, column] += (covariances * own_noise).sum(axis=0)
    for blocks in (exact, noisy):
        blocks[:, 1, 0] = blocks[:, 0, 1]
    return exact, noisy
