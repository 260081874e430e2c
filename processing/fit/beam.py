"""Broadening and weakening of the beam in the specimen, fitted to the images."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import optimize

from processing.fit.imager import LAYERS, Spectrum
from processing.fit.view import Spheres, View, particles_crossed, slot_numbers
from processing.series import Float32, Float64

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
    most_crossed
        Number of particles on the longest path through the specimen.
    """

    blur_px: float
    kernels: Float32
    most_crossed: float


def fit_beam(views: Sequence[View], spheres: Spheres, pool: Executor) -> Beam:
    """Find the blur with which the spheres explain the images of one series best."""
    imager = views[0].imager
    fitted = views[:: max(1, len(views) // FITTED_VIEWS)]
    crossed = list(pool.map(partial(particles_crossed, spheres=spheres), fitted))
    longest = [np.percentile(each, LONGEST_PATH_PERCENTILE) for each in crossed]
    most_crossed = float(np.max(longest)) + 1

    def sharp_layers(view: View, each: Float64) -> Spectrum:
        points = view.project(spheres.centres_nm)
        splines = imager.spread(points, slot_numbers(each, most_crossed, spheres))
        return imager.layer_spectra(splines.value_transposed @ spheres.weights)

    sharp = list(pool.map(sharp_layers, fitted, crossed))

    def residual_energy(blur_px: float) -> float:
        kernels = imager.kernels(blur_px)

        def in_view(view: View, spectra: Spectrum) -> float:
            blurred = spectra * kernels
            contrasts = fit_contrasts(view, blurred).astype(np.float32)
            return imager.energy(view.spectrum - np.tensordot(contrasts, blurred, 1))

        return sum(pool.map(in_view, fitted, sharp))

    found = optimize.minimize_scalar(
        residual_energy,
        bounds=(0.0, LARGEST_BLUR * imager.diameter_px),
        method="bounded",
        options={"xatol": BLUR_PRECISION * imager.diameter_px},
    )
    blur_px = float(found.x)
    return Beam(blur_px, imager.kernels(blur_px), most_crossed)


def fit_contrasts(view: View, spectra: Spectrum) -> Float64:
    """Return the contrast of each slot in an image, [slot], by least squares.

    All kinds of spheres have the same contrast in a layer.
    """
    kinds = len(spectra) // LAYERS
    if kinds > 1:
        spectra = spectra.reshape(kinds, LAYERS, *spectra.shape[1:]).sum(axis=0)
    contrasts = least_squares(list(spectra), view, ridge=1e-4)
    contrasts = np.maximum(contrasts, LEAST_CONTRAST * max(float(contrasts.max()), 1e-9))
    return np.tile(contrasts, kinds)


def least_squares(basis: list[Spectrum], view: View, ridge: float) -> Float64:
    """Return the coefficients of basis images in the image of a view.

    `ridge` is the regularisation, as a fraction of the squared norm of each basis image.
    """
    design = np.stack([view.imager.vector(part) for part in basis])
    normal = (design @ design.T).astype(np.float64)
    right = (design @ view.imager.vector(view.spectrum)).astype(np.float64)
    normal[np.diag_indices_from(normal)] += ridge * np.maximum(normal.diagonal(), 1e-30)
    return np.asarray(np.linalg.solve(normal, right), np.float64)
