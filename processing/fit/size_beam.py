"""Blur of the beam, fitted again for spheres that have their own sizes.

Equal spheres explain the fine detail of unequal particles badly, and the fit takes that for a blur
that grows with depth. Sizes that are solved with too much of it have a smooth error: particles in
the middle, blurred in every image, come out too small, and no residual shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import numpy as np

from processing.fit.beam import FITTED_VIEWS, LARGEST_BLUR, Beam, fit_contrasts
from processing.fit.size_model import SizeModel, size_models
from processing.fit.solve import sum_models
from processing.fit.view import Spheres, Views, every
from processing.fit.view_model import model_views
from processing.series import Float64

RIDGE = 1e-4
"""Regularisation of contrasts and blurs, as a fraction of the squared norm of their images. Few
particles, all in one layer, do not tell one blur from the other."""
STEP = 1.6
"""Factor on the change of the blur. Sizes and places hide 0.4 of an error of the blur with which
they were solved."""


def refit_beams(
    beams: Mapping[int, Beam],
    views: Sequence[Views],
    spheres: Spheres,
    unknowns: Float64,
    pool: Executor,
) -> dict[int, Beam]:
    """Return the beam of each series with the blurs that explain its images best.

    Parameters
    ----------
    unknowns
        Unknowns of the linear model of the sizes at the places of the spheres, [n, UNKNOWNS].
    """
    return {
        series: _refitted(beam, _some(views, series), spheres, unknowns, pool)
        for series, beam in beams.items()
    }


def _some(views: Sequence[Views], series: int) -> list[Views]:
    own = [each for each in views if each.series == series]
    return every(own, max(1, sum(map(len, own)) // FITTED_VIEWS))


def _refitted(
    beam: Beam, views: Sequence[Views], spheres: Spheres, unknowns: Float64, pool: Executor
) -> Beam:
    """Take one Gauss-Newton step for the squares of both blurs."""

    def equations(model: SizeModel) -> Float64:
        return _equations(model, unknowns, spheres)

    models = size_models(list(pool.map(lambda some: model_views(some, beam, spheres), views)))
    summed: Float64 = sum_models(pool, equations, models)
    imager = views[0].imager
    change = STEP * np.linalg.solve(_damped(summed[:, :2]), summed[:, 2])
    squares = np.array([beam.common_px, beam.blur_px]) ** 2 + change
    largest = (LARGEST_BLUR * imager.diameter_px) ** 2
    common_px, blur_px = np.sqrt(np.clip(squares, 0.0, largest))
    kernels = imager.kernels_of(imager.kinds, blur_px, common_px)
    return replace(
        beam,
        blur_px=float(blur_px),
        common_px=float(common_px),
        kernels=kernels,
        basis=imager.basis(kernels),
    )


def _equations(model: SizeModel, unknowns: Float64, spheres: Spheres) -> Float64:
    """Return the normal equations of the squares of both blurs, [2, (blur, blur, right side)].

    The contrasts of the layers are free: they are eliminated in each image.
    """
    views, imager = model.model.views, model.model.views.imager
    xp, device = imager.device.xp, imager.device
    layers = model.in_slots(unknowns, spheres.weights)
    contrasts = fit_contrasts(views, layers)[:, :, None, None].astype(np.float32)
    shown = layers * device.to_device(contrasts)
    columns = [imager.blur_slopes(shown), layers, (views.spectra - shown.sum(axis=1))[:, None]]
    vectors = imager.vectors(xp.concat(columns, axis=1))
    products = device.to_host(vectors @ xp.swapaxes(vectors, 1, 2)).astype(np.float64)
    blurs, of_contrasts = products[:, :2], products[:, 2:-1]
    kept = [0, 1, -1]
    solved = np.linalg.solve(_damped(of_contrasts[:, :, 2:-1]), of_contrasts[:, :, kept])
    explained = blurs[:, :, 2:-1] @ solved
    return np.asarray((blurs[:, :, kept] - explained).sum(axis=0), np.float64)


def _damped(normal: Float64) -> Float64:
    """Return normal matrices [..., n, n] that have an inverse."""
    damped = normal.copy()
    diagonal = np.einsum("...ii->...i", damped)
    diagonal += RIDGE * np.maximum(diagonal, 1e-30)
    return damped
