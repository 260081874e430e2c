"""Broadening and weakening of the beam in the specimen, fitted to the images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import optimize

from processing.device import Array
from processing.fit.imager import LAYERS
from processing.fit.kernel_basis import KernelBasis
from processing.fit.view import Spheres, Views, every, particles_crossed, slot_numbers
from processing.series import Float64

LEAST_CONTRAST = 0.05
"""Smallest contrast of a layer, as a fraction of the brightest layer's. None vanishes."""
LARGEST_BLUR = 1.0
"""Largest blur in the search, in sphere diameters: nothing would be resolved beyond it."""
BLUR_PRECISION = 0.01
"""Precision of the search, in sphere diameters."""
FITTED_VIEWS = 10
"""Number of views to which the blur is fitted; more give the same result."""
LONGEST_PATH_PERCENTILE = 99.5
"""Percentile of the particles crossed that stands for the longest path; the maximum is noisy."""


@dataclass(frozen=True, eq=False)
class Beam:
    """Beam properties that the views of one series share.

    Attributes
    ----------
    blur_px
        Standard deviation of the beam after all of the material.
    kernels
        [slot, ky, kx], `SphereImager.kernels` of that blur.
    basis
        The same kernels as sums of few spectra.
    most_crossed
        Number of particles on the longest path through the specimen.
    common_px
        Standard deviation of the blur that all layers share: that of the probe and of the poses.
    """

    blur_px: float
    kernels: Array
    basis: KernelBasis
    most_crossed: float
    common_px: float = 0.0


def fit_beam(series: Sequence[Views], spheres: Spheres, pool: Executor) -> Beam:
    """Find the blur with which the spheres explain the images of one series best."""
    imager = series[0].imager
    fitted = every(series, max(1, sum(map(len, series)) // FITTED_VIEWS))
    crossed = list(pool.map(partial(particles_crossed, spheres=spheres), fitted))
    longest = [
        np.percentile(imager.device.to_host(each), LONGEST_PATH_PERCENTILE, axis=1)
        for each in crossed
    ]
    most_crossed = float(np.max(np.concatenate(longest))) + 1

    def sharp_layers(views: Views, each: Array) -> Array:
        points = views.project(spheres.centres_nm)
        splines = imager.spread(points, slot_numbers(each, most_crossed, spheres, imager.device))
        return imager.layer_spectra(splines.spread(views.repeat(spheres.weights)))

    sharp = list(pool.map(sharp_layers, fitted, crossed))

    def residual_energy(blur_px: float) -> float:
        kernels = imager.kernels(blur_px)

        def in_views(views: Views, spectra: Array) -> float:
            blurred = spectra * kernels
            contrasts = fit_contrasts(views, blurred)[:, :, None, None].astype(np.float32)
            model = (imager.device.to_device(contrasts) * blurred).sum(axis=1)
            return float(imager.energies(views.spectra - model).sum())

        return sum(pool.map(in_views, fitted, sharp))

    found = optimize.minimize_scalar(
        residual_energy,
        bounds=(0.0, LARGEST_BLUR * imager.diameter_px),
        method="bounded",
        options={"xatol": BLUR_PRECISION * imager.diameter_px},
    )
    blur_px = float(found.x)
    kernels = imager.kernels(blur_px)
    return Beam(blur_px, kernels, imager.basis(kernels), most_crossed)


def fit_contrasts(views: Views, spectra: Array) -> Float64:
    """Return the contrast of each slot in each image, [view, slot], by least squares.

    `spectra` are those of the slots, [view, slot, ky, kx]. All kinds of spheres have the same
    contrast in a layer.
    """
    kinds = spectra.shape[1] // LAYERS
    if kinds > 1:
        spectra = spectra.reshape(len(views), kinds, LAYERS, *spectra.shape[2:]).sum(axis=1)
    contrasts = least_squares(spectra, views, ridge=1e-4)
    largest = np.maximum(contrasts.max(axis=1, keepdims=True), 1e-9)
    return np.tile(np.maximum(contrasts, LEAST_CONTRAST * largest), (1, kinds))


def least_squares(basis: Array, views: Views, ridge: float) -> Float64:
    """Return the coefficients [view, n] of basis images [view, n, ky, kx] in the views' images.

    `ridge` is the regularisation, as a fraction of the squared norm of each basis image.
    """
    imager = views.imager
    to_host, xp = imager.device.to_host, imager.device.xp
    design, image = imager.vectors(basis), imager.vectors(views.spectra)
    normal = to_host(design @ xp.swapaxes(design, 1, 2)).astype(np.float64)
    right = to_host(design @ image[..., None]).astype(np.float64)
    diagonal = np.einsum("vii->vi", normal)
    diagonal += ridge * np.maximum(diagonal, 1e-30)
    return np.asarray(np.linalg.solve(normal, right)[..., 0], np.float64)
