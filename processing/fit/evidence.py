"""Comparison of fitted spheres with the images that they must explain.

The residual, image minus model, is compared with the noise near each particle and in each view. The
noise is read from the finest detail of the residual, which no sphere of this size reaches, or from
the residual beside the particles, where that is larger: the texture of a film is noise, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from processing.fit.imager import Spectrum, SphereImager
from processing.fit.view import Spheres, View
from processing.fit.view_model import ViewModel
from processing.series import Float32, Float64

NOISE_RING = (0.55, 0.8)
"""Range of spatial frequencies, in Nyquist frequencies, at which the noise is read."""
REDUCTION_PX = 0.4
"""Standard deviation of the filter with which finer images are reduced (px)."""
WINDOW_DIAMETERS = 0.35
"""Standard deviation of the window around a particle, in sphere diameters."""

NOISE_WINDOW_DIAMETERS = 1.0
"""Standard deviation of the window in which noise is measured, in sphere diameters."""
BACKGROUND_SIGNAL = 1e-3
"""Largest signal of a background pixel, as a fraction of the brightest one's energy."""
SMALLEST_BACKGROUND = 0.1
"""Smallest part of the image that shows the background reliably."""


@dataclass(frozen=True, eq=False)
class ViewEvidence:
    """One image compared with the fitted spheres. Energies are sums of squared pixels.

    Attributes
    ----------
    signal
        Energy of the model image near each candidate, [n].
    residual
        Energy of image minus model near each candidate, without that of the noise, [n].
    noise_share
        Energy of the noise in the image, as a fraction of that of the image.
    tilt_correction_deg
        Tilt angle found minus tilt angle given.
    """

    signal: Float32
    residual: Float32
    noise_share: float
    tilt_correction_deg: float


@dataclass(frozen=True, eq=False)
class Evidence:
    """All images of the fit compared with the fitted spheres.

    Attributes
    ----------
    unexplained
        Residual over signal near each candidate, over all views, [n]; noise is subtracted. 1 at
        most: then nothing is explained.
    view_unexplained
        The same in each view, over all particles, [view].
    noise_share
        Noise in the images, as a fraction of their energy, for each series.
    tilt_errors_deg
        Standard deviation of the corrections of the tilt angles, for each series.
    """

    unexplained: Float64
    view_unexplained: Float64
    noise_share: tuple[float, ...]
    tilt_errors_deg: tuple[float, ...]


def no_evidence(series: int) -> Evidence:
    """Return the evidence of a fit without candidates: nothing is explained."""
    return Evidence(np.zeros(0), np.ones(1), (1.0,) * series, (0.0,) * series)


def gather_evidence(
    models: Sequence[ViewModel], given: Sequence[View], spheres: Spheres, pool: Executor
) -> Evidence:
    """Compare the fitted spheres with every image.

    Parameters
    ----------
    models
        Models of the final spheres and poses, one for each view.
    given
        The same views before any correction of their poses.
    """
    found = list(pool.map(partial(_examine, spheres=spheres), models, given))
    particles = spheres.are_particles
    signal = np.sum([view.signal for view in found], axis=0, dtype=np.float64)
    residual = np.sum([view.residual for view in found], axis=0, dtype=np.float64)
    by_view = [
        _share(float(view.residual[particles].sum()), float(view.signal[particles].sum()))
        for view in found
    ]
    numbers = np.array([model.view.series for model in models])
    noise = np.array([view.noise_share for view in found])
    corrections = np.array([view.tilt_correction_deg for view in found])
    each = range(int(numbers.max()) + 1)
    return Evidence(
        np.clip(residual / np.maximum(signal, 1e-30), 0, 1),
        np.array(by_view),
        tuple(float(np.median(noise[numbers == index])) for index in each),
        tuple(float(np.std(corrections[numbers == index])) for index in each),
    )


def _share(residual: float, signal: float) -> float:
    return min(1.0, max(residual, 0.0) / max(signal, 1e-30))


def _examine(model: ViewModel, given: View, spheres: Spheres) -> ViewEvidence:
    view, imager = model.view, model.view.imager
    image = model.forward(model.splines.value_transposed @ spheres.weights)
    residual = view.spectrum - image
    signal, left = _energy(imager, image), _energy(imager, residual)
    usual = np.maximum(_noise(imager, residual), _background(signal, left))
    middle = (np.array(imager.shape) - 1) / 2
    points = (view.project(spheres.centres_nm) + middle).T
    near_signal, near_left = (
        ndimage.map_coordinates(energy, points, order=1, mode="nearest")
        for energy in (signal, left - usual)
    )
    # many false spheres explain noise: its share is read from the image, not from the residual
    noise, whole = _noise(imager, view.spectrum).sum(), _energy(imager, view.spectrum).sum()
    turn = _orthonormal(view.axes) @ _orthonormal(given.axes).T
    return ViewEvidence(
        near_signal,
        near_left,
        min(1.0, float(noise / max(whole, 1e-30))),
        float(np.rad2deg(turn[1, 2])),
    )


def _energy(imager: SphereImager, spectrum: Spectrum) -> Float32:
    """Return the mean squared pixel of an image in a window around each pixel, [y, u]."""
    image = imager.image(spectrum)
    window_px = WINDOW_DIAMETERS * imager.diameter_px
    return np.asarray(ndimage.gaussian_filter(image * image, window_px), np.float32)


def _noise(imager: SphereImager, spectrum: Spectrum) -> Float32:
    """Return the energy of the noise in a window around each pixel, [y, u]."""
    ring, factor = imager.ring(NOISE_RING, REDUCTION_PX)
    fine = imager.image(np.where(ring, spectrum, 0))
    window_px = NOISE_WINDOW_DIAMETERS * imager.diameter_px
    return np.asarray(factor * ndimage.gaussian_filter(fine * fine, window_px), np.float32)


def _background(signal: Float32, left: Float32) -> float:
    """Return the usual residual energy beside all particles; 0 where they fill the image."""
    beside = left[signal < BACKGROUND_SIGNAL * signal.max()]
    return float(np.median(beside)) if beside.size > SMALLEST_BACKGROUND * left.size else 0.0


def _orthonormal(axes: Float64) -> Float64:
    return np.asarray(axes / np.cbrt(abs(np.linalg.det(axes))), np.float64)
