"""How the beam broadens and weakens on its way, from the images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from processing.fit.camera import Spectrum
from processing.fit.view import Spheres, View, layers, met_before
from processing.series import Float32, Float64

FAINTEST = 0.05
"""Of the brightest layer's contrast: a layer can not vanish, or turn dark."""
WIDEST = 1.0
"""Standard deviation behind all the material, diameters, beyond which nothing would be seen."""
PRECISION = 0.01
VIEWS = 10
"""Views that the blur is taken from; all say the same."""
LONGEST_WAY = 99.5
"""Percentile of the particles met that stands for the longest way: columns are ragged."""


@dataclass(frozen=True, eq=False)
class Beam:
    """What the views of one series share.

    Attributes
    ----------
    blur_px
        Standard deviation behind all the material there is.
    kernels
        [layer, ky, kx]: `Camera.kernels` of that blur.
    met_at_most
        Particles on the longest way through the specimen.
    """

    blur_px: float
    kernels: Float32
    met_at_most: float


def fitted_beam(views: Sequence[View], spheres: Spheres) -> Beam:
    """The blur under which spheres explain the images of one series best."""
    camera = views[0].camera
    some = views[:: max(1, len(views) // VIEWS)]
    met = [met_before(view, spheres.centres_nm, spheres.amplitudes) for view in some]
    met_at_most = float(np.max([np.percentile(each, LONGEST_WAY) for each in met])) + 1
    drawn = []
    for view, each in zip(some, met, strict=True):
        placed = camera.place(view.points(spheres.centres_nm), layers(each, met_at_most))
        drawn.append(camera.layer_spectra(placed.value.T @ spheres.weights))

    def unexplained(blur_px: float) -> float:
        kernels = camera.kernels(blur_px)
        left = 0.0
        for view, spectra in zip(some, drawn, strict=True):
            seen = spectra * kernels
            model = np.tensordot(fitted_contrasts(view, seen).astype(np.float32), seen, 1)
            left += camera.energy(view.spectrum - model)
        return left

    size_px = camera.diameter_px
    found = optimize.minimize_scalar(
        unexplained,
        bounds=(0.0, WIDEST * size_px),
        method="bounded",
        options={"xatol": PRECISION * size_px},
    )
    blur_px = float(found.x)
    return Beam(blur_px, camera.kernels(blur_px), met_at_most)


def fitted_contrasts(view: View, spectra: Spectrum) -> Float64:
    """Amount [layer] of each layer's spectrum in an image, by least squares."""
    amounts = least_squares(list(spectra), view, ridge=1e-4)
    return np.maximum(amounts, FAINTEST * max(float(amounts.max()), 1e-9))


def least_squares(basis: list[Spectrum], view: View, ridge: float) -> Float64:
    """Amounts of the basis in an image; `ridge` is a share of the basis's own norms."""
    design = np.stack([view.camera.vector(part) for part in basis])
    normal = (design @ design.T).astype(np.float64)
    right = (design @ view.camera.vector(view.spectrum)).astype(np.float64)
    normal[np.diag_indices_from(normal)] += ridge * np.maximum(normal.diagonal(), 1e-30)
    return np.asarray(np.linalg.solve(normal, right), np.float64)
