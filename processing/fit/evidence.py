"""Comparison of fitted spheres with the images that they must explain.

The residual, image minus model, is compared with the noise near each particle and in each view. The
noise is read from the finest detail of the residual, which no sphere of this size reaches, or from
the residual beside the particles, where that is larger: the texture of a film is noise, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy import ndimage

from processing.device import Array, Device
from processing.fit.imager import Ints, SphereImager
from processing.fit.view import Spheres, Views
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
MISSED_LEVEL = 4.0
"""Smallest energy of something that the spheres do not show, in energies of the noise."""
BACKGROUND_SIGNAL = 1e-3
"""Largest signal of a background pixel, as a fraction of the brightest one's energy."""
FAINTEST = 0.05
"""Smallest amplitude at which the sharpness of a candidate is known."""
SMALLEST_BACKGROUND = 0.1
"""Smallest part of the image that shows the background reliably."""


@dataclass(frozen=True, eq=False)
class ViewEvidence:
    """Images of some views compared with the fitted spheres. Energies are sums of squared pixels.

    Attributes
    ----------
    series
        Index of the series of each view, [view].
    signal
        Energy of the model image near each candidate, [view, n].
    residual
        Energy of image minus model near each candidate, without that of the noise, [view, n].
    stiffness
        Energy of the gradient of each candidate's own image, per squared diameter of displacement,
        [view, n]. Blur and a weak signal lower it.
    noise_share
        Energy of the noise in the image, as a fraction of that of the image, [view].
    missed_area
        Area that shows something else than the spheres, in areas of one sphere, [view].
    tilt_correction_deg
        Tilt angle found minus tilt angle given, [view].
    noise
        Energy of the noise near each candidate, [view, n].
    """

    series: Ints
    signal: Float32
    residual: Float32
    stiffness: Float64
    noise_share: Float64
    missed_area: Float64
    tilt_correction_deg: Float64
    noise: Float32


@dataclass(frozen=True, eq=False)
class Evidence:
    """All images of the fit compared with the fitted spheres.

    Attributes
    ----------
    unexplained
        Residual over signal near each candidate, over all views, [n]; noise is subtracted. 1 at
        most: then nothing is explained.
    place_error
        Error of the place of each candidate that the residual allows, in diameters, [n]. It is that
        of a least-squares fit of this sphere alone; noise is subtracted.
    sharpness
        Energy of the gradient of each candidate's image at amplitude 1, over that of the sharpest
        tenth of the particles of its kind, [n]. A blurred exit side has less.
    view_unexplained
        The share of `unexplained` in each view, over all particles, [view].
    noise_share
        Noise in the images, as a fraction of their energy, for each series.
    missed_area
        Usual area that shows something else than the spheres, in areas of one sphere.
    tilt_errors_deg
        Standard deviation of the corrections of the tilt angles, for each series.
    noise
        Mean squared pixel of the noise near each candidate, [view, n].
    """

    unexplained: Float64
    place_error: Float64
    sharpness: Float64
    view_unexplained: Float64
    noise_share: tuple[float, ...]
    missed_area: float
    tilt_errors_deg: tuple[float, ...]
    noise: Float32


def no_evidence(series: int) -> Evidence:
    """Return the evidence of a fit without candidates: nothing is explained."""
    return Evidence(
        np.zeros(0),
        np.zeros(0),
        np.zeros(0),
        np.ones(1),
        (1.0,) * series,
        0.0,
        (0.0,) * series,
        np.zeros((0, 0), np.float32),
    )


def gather_evidence(
    models: Sequence[ViewModel], given: Sequence[Views], spheres: Spheres, pool: Executor
) -> Evidence:
    """Compare the fitted spheres with every image.

    Parameters
    ----------
    models
        Models of the final spheres and poses, for all views.
    given
        The same views before any correction of their poses.
    """
    found = list(pool.map(partial(_examine, spheres=spheres), models, given))
    particles = spheres.are_particles
    signal, residual, stiffness, noise, missed, corrections, numbers, near_noise = (
        np.concatenate([getattr(each, name) for each in found])
        for name in (
            "signal",
            "residual",
            "stiffness",
            "noise_share",
            "missed_area",
            "tilt_correction_deg",
            "series",
            "noise",
        )
    )
    by_view = [
        _share(float(left[particles].sum()), float(whole[particles].sum()))
        for left, whole in zip(residual, signal, strict=True)
    ]
    place_error = _place_error(residual, stiffness)
    signal, residual = (each.sum(axis=0, dtype=np.float64) for each in (signal, residual))
    every_series = range(int(numbers.max()) + 1)
    return Evidence(
        np.clip(residual / np.maximum(signal, 1e-30), 0, 1),
        place_error,
        _sharpness(stiffness.sum(axis=0), spheres),
        np.array(by_view),
        tuple(float(np.median(noise[numbers == index])) for index in every_series),
        float(np.median(missed)),
        tuple(float(np.std(corrections[numbers == index])) for index in every_series),
        near_noise,
    )


def _place_error(residual: Float32, stiffness: Float64) -> Float64:
    """Return the error of the places [n] that residuals [view, n] at stiffness [view, n] allow."""
    pull = np.sqrt(np.maximum((residual * stiffness).sum(axis=0), 0))
    return np.asarray(pull / np.maximum(stiffness.sum(axis=0), 1e-30), np.float64)


def _sharpness(stiffness: Float64, spheres: Spheres) -> Float64:
    """Return stiffness [n] at amplitude 1, over that of the sharpest particles of the same kind."""
    sharpness = stiffness / np.maximum(spheres.amplitudes, FAINTEST) ** 2
    members = np.zeros(len(sharpness), np.int64) if spheres.kinds is None else spheres.kinds
    for kind in np.unique(members):
        own = members == kind
        particles = own & spheres.are_particles
        sharpest = np.quantile(sharpness[particles], 0.9) if particles.any() else 1.0
        sharpness[own] /= max(sharpest, 1e-30)
    return np.asarray(sharpness, np.float64)


def _share(residual: float, signal: float) -> float:
    return min(1.0, max(residual, 0.0) / max(signal, 1e-30))


def _examine(model: ViewModel, given: Views, spheres: Spheres) -> ViewEvidence:
    views, imager = model.views, model.views.imager
    device = imager.device
    image = model.project(spheres.weights)
    residual = views.spectra - image
    signal, left = _energy(imager, image), _energy(imager, residual)
    usual = _usual_energy(imager, residual, signal, left)
    middle = device.to_device((np.array(imager.shape) - 1) / 2)
    points = views.project(spheres.centres_nm) + middle
    near_signal, near_left, near_noise = (
        _sampled(energy, points, device) for energy in (signal, left - usual, usual)
    )
    stiffness = _stiffness(model, spheres)
    if views.known is not None:
        # a particle that another object covers is neither explained there nor unexplained
        shown = _sampled(views.known.astype(np.float32), points, device)
        near_signal, near_left = near_signal * shown, near_left * shown
        stiffness = stiffness * shown
    missed = (left - usual > signal) & (left > MISSED_LEVEL * usual)
    pixels = device.to_host(device.xp.sum(missed, axis=(1, 2)))
    turns = [
        _orthonormal(now) @ _orthonormal(then).T
        for now, then in zip(views.axes, given.axes, strict=True)
    ]
    return ViewEvidence(
        np.full(len(views), views.series),
        near_signal,
        near_left,
        stiffness,
        # many false spheres explain noise: its share is read from the image, not from the residual
        _noise_share(imager, views.spectra),
        pixels / (np.pi / 4 * imager.diameter_px**2),
        np.rad2deg([float(turn[1, 2]) for turn in turns]),
        near_noise,
    )


def _stiffness(model: ViewModel, spheres: Spheres) -> Float64:
    """Return the gradient energy of each sphere's own image, per squared diameter, [view, n]."""
    imager = model.views.imager
    of_slots = imager.stiffness(model.beam.kernels)[:, 1:].mean(axis=1)
    per_px = imager.device.to_host(model.of_slots(model.contrasts**2 * of_slots))
    return np.asarray(per_px * (spheres.amplitudes * imager.diameter_px) ** 2, np.float64)


def _sampled(images: Array, points: Array, device: Device) -> Float32:
    """Return images [view, y, u] at points [view, n, (y, u)], by linear interpolation.

    The result is [view, n]. Points beyond the edge get the value at the edge.
    """
    xp = device.xp
    last = device.to_device(np.array(images.shape[1:]) - 1)
    inside = xp.minimum(xp.maximum(points, 0), last)
    first = xp.minimum(xp.floor(inside), last - 1).astype(np.int64)
    share = (inside - first).astype(np.float32)
    view = xp.arange(len(images))[:, None]
    total = xp.zeros(points.shape[:2], dtype=np.float32)
    for dy, du in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight_y = share[..., 0] if dy else 1 - share[..., 0]
        weight_u = share[..., 1] if du else 1 - share[..., 1]
        values = images[view, first[..., 0] + dy, first[..., 1] + du]
        total += weight_y * weight_u * values
    return np.asarray(device.to_host(total), np.float32)


def noise_energy(imager: SphereImager, image: Array, residual: Array) -> Array:
    """Return the mean square of the noise near each pixel, [view, y, u], of spectra in the band."""
    return _usual_energy(imager, residual, _energy(imager, image), _energy(imager, residual))


def _usual_energy(imager: SphereImager, residual: Array, signal: Array, left: Array) -> Array:
    """Return that of the finest detail, or that beside the particles where it is larger."""
    device = imager.device
    return device.xp.maximum(_noise(imager, residual), _background(signal, left, device))


def _energy(imager: SphereImager, spectra: Array) -> Array:
    """Return the mean squared pixel of images in a window around each pixel, [view, y, u]."""
    images = imager.images(spectra)
    return _smoothed(imager, images * images, WINDOW_DIAMETERS * imager.diameter_px)


def _noise(imager: SphereImager, spectra: Array) -> Array:
    """Return the energy of the noise in a window around each pixel, [view, y, u]."""
    squares, factor = _finest_squares(imager, spectra)
    return _smoothed(imager, squares, NOISE_WINDOW_DIAMETERS * imager.diameter_px) * factor


def _noise_share(imager: SphereImager, spectra: Array) -> Float64:
    """Return the energy of the noise in each image, as a fraction of the image's own, [view]."""
    squares, factor = _finest_squares(imager, spectra)
    noise, whole = (
        np.asarray(imager.device.to_host(each.sum(axis=(1, 2))), np.float64)
        for each in (squares * factor, imager.images(spectra) ** 2)
    )
    return np.minimum(1.0, noise / np.maximum(whole, 1e-30))


def _finest_squares(imager: SphereImager, spectra: Array) -> tuple[Array, np.float32]:
    """Return the squared pixels of the finest detail, and the whole noise's energy over theirs."""
    ring, factor = imager.ring(NOISE_RING, REDUCTION_PX)
    fine = imager.images(imager.device.xp.where(ring, spectra, spectra.dtype.type(0)))
    return fine * fine, np.float32(factor)


def _smoothed(imager: SphereImager, images: Array, sigma_px: float) -> Array:
    """Smooth images [view, y, u] by a Gaussian: a matrix along each axis, fast on every device."""
    along_y, along_u = (
        imager.device.to_device(_gaussian_matrix(side, sigma_px)) for side in imager.shape
    )
    return along_y @ images @ along_u.T


@cache
def _gaussian_matrix(side: int, sigma_px: float) -> Float32:
    """Return the matrix [pixel, pixel] that smooths a line by a Gaussian, reflected at its ends."""
    return np.asarray(ndimage.gaussian_filter1d(np.eye(side), sigma_px, axis=0), np.float32)


def _background(signal: Array, left: Array, device: Device) -> Array:
    """Return the usual residual energy beside all particles; 0 where they fill the image.

    The result is [view, 1, 1].
    """
    xp = device.xp
    signal, left = (each.reshape(len(each), -1) for each in (signal, left))
    beside = signal < BACKGROUND_SIGNAL * xp.max(signal, axis=1, keepdims=True)
    pixels = xp.sum(beside, axis=1)
    in_order = xp.sort(xp.where(beside, left, left.dtype.type(np.inf)), axis=1)
    middle = xp.stack([xp.maximum(pixels - 1, 0) // 2, pixels // 2], axis=1)
    middle = xp.minimum(middle, left.shape[1] - 1)
    usual = xp.mean(xp.take_along_axis(in_order, middle, axis=1), axis=1)
    usual = xp.where(pixels > SMALLEST_BACKGROUND * left.shape[1], usual, usual.dtype.type(0))
    return usual[:, None, None]


def _orthonormal(axes: Float64) -> Float64:
    return np.asarray(axes / np.cbrt(abs(np.linalg.det(axes))), np.float64)
