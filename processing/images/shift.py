"""Sub-pixel displacement between images by band-passed cross-correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.images.taper import taper
from processing.parallel import worker_threads
from processing.series import Float32, Float64

NEWTON_STEPS = 4
TAPERED_SHARE = 0.2
"""Fraction of rows and columns in the smooth edges of the images."""


@dataclass(frozen=True)
class Band:
    """Band-pass filter: standard deviations of its two Gaussians, pixels."""

    fine_px: float = 1.0
    coarse_px: float = 8.0


@dataclass(frozen=True)
class Shifts:
    """Displacements of a stack of images from their references.

    Attributes
    ----------
    shifts_px
        [image, (y, x)], displacement of the image's content from where its reference shows it.
    scores
        [image], normalised cross-correlation at that displacement, -1..1.
    """

    shifts_px: Float64
    scores: Float64


def find_shifts(
    images: Float32, references: Float32, band: Band = Band(), max_shift_px: float | None = None
) -> Shifts:
    """Cross-correlate each image with its reference, both [image, y, x].

    The images are tapered at their borders and padded, so that nothing wraps round. The maximum at
    whole pixels is refined by Newton's method on the Fourier series of the correlation, which
    interpolates it exactly. `max_shift_px` is half the shorter side by default.
    """
    rows, columns = images.shape[1:]
    limit_px = max_shift_px if max_shift_px is not None else min(rows, columns) / 2
    shape = tuple(
        fft.next_fast_len(n + int(np.ceil(limit_px)) + 1, real=True) for n in (rows, columns)
    )
    weight = _band_pass(shape, band)
    spectrum = _spectrum(images, shape) * weight
    reference = _spectrum(references, shape) * weight
    energy = np.sqrt(
        _full_sum(np.abs(spectrum) ** 2, shape) * _full_sum(np.abs(reference) ** 2, shape)
    )
    cross = spectrum * np.conj(reference)
    correlation = fft.irfft2(cross, shape, workers=_workers(images))
    start = _whole_pixel_peak(correlation, limit_px)
    shifts, highest = _refine_peak(cross, start, shape)
    return Shifts(shifts, highest / np.maximum(energy, 1e-30))


def _spectrum(images: Float32, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    level = np.median(_border(images), axis=-1)[:, None, None]
    window = np.outer(*(taper(n, TAPERED_SHARE) for n in images.shape[1:])).astype(np.float32)
    tapered = (images - level) * window
    return np.asarray(fft.rfft2(tapered, shape, workers=_workers(images)), np.complex64)


def _workers(images: Float32) -> int:
    """Return the threads for a transform: a single image would only wait for the other threads."""
    return worker_threads() if len(images) > 1 else 1


def _border(images: Float32) -> Float32:
    """Return the border pixels [image, n], which show the background."""
    top, bottom = images[:, 0], images[:, -1]
    return np.concatenate([top, bottom, images[:, :, 0], images[:, :, -1]], axis=1)


def _frequencies(shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Return the frequencies of a half spectrum, radians a pixel, along y [n, 1] and x [1, m]."""
    ky = np.asarray(2 * np.pi * np.fft.fftfreq(shape[0])[:, None], np.float64)
    kx = np.asarray(2 * np.pi * np.fft.rfftfreq(shape[1])[None, :], np.float64)
    return ky, kx


def _band_pass(shape: tuple[int, ...], band: Band) -> Float32:
    ky, kx = _frequencies(shape)
    square = (ky**2 + kx**2) / 2
    kept = np.exp(-square * band.fine_px**2) - np.exp(-square * band.coarse_px**2)
    return np.asarray(kept, np.float32)


def _full_sum_weights(shape: tuple[int, ...]) -> Float64:
    """Return how often each column of the half spectrum from `rfft2` occurs in the full one."""
    weights = np.full(shape[1] // 2 + 1, 2.0)
    weights[0] = 1
    if shape[1] % 2 == 0:
        weights[-1] = 1
    return weights


def _full_sum(values: NDArray[np.floating], shape: tuple[int, ...]) -> Float64:
    """Sum over the full spectrum, given the half that `rfft2` returns."""
    return np.asarray(values.sum(axis=1, dtype=np.float64) @ _full_sum_weights(shape), np.float64)


def _whole_pixel_peak(correlation: Float32, limit_px: float) -> Float64:
    rows, columns = correlation.shape[1:]
    y = np.fft.fftfreq(rows, 1 / rows)[:, None]
    x = np.fft.fftfreq(columns, 1 / columns)[None, :]
    allowed = np.where((np.abs(y) <= limit_px) & (np.abs(x) <= limit_px), correlation, -np.inf)
    flat = allowed.reshape(len(correlation), -1).argmax(axis=1)
    top, left = np.unravel_index(flat, (rows, columns))
    return np.stack([y[top, 0], x[0, left]], axis=1)


def _refine_peak(
    cross: NDArray[np.complex64], start: Float64, shape: tuple[int, ...]
) -> tuple[Float64, Float64]:
    """Maximise C(s) = sum Re(cross exp(i k s)) by Newton's method, within a pixel of `start`.

    The phase is a product of one factor along y and one along x, so that C and its derivatives come
    from two small matrix products.
    """
    ky, kx = (k.ravel() for k in _frequencies(shape))
    powers_y, powers_x = (k ** np.arange(3)[:, None] for k in (ky, kx))
    weighted = cross * _full_sum_weights(shape).astype(np.complex128)

    def moments(shifts: Float64) -> NDArray[np.complex128]:
        """Return the sums of ky^a kx^b cross exp(i k s), [image, a, b]."""
        along_y = powers_y * np.exp(1j * ky * shifts[:, :1])[:, None]
        along_x = powers_x * np.exp(1j * kx * shifts[:, 1:])[:, None]
        return np.asarray(along_y @ (weighted @ along_x.swapaxes(1, 2)), np.complex128)

    shifts: Float64 = start.copy()
    for _ in range(NEWTON_STEPS):
        sums = moments(shifts)
        gradient = -np.stack([sums[:, 1, 0].imag, sums[:, 0, 1].imag], axis=1)
        yy, yx, xx = (-sums[:, a, b].real for a, b in ((2, 0), (1, 1), (0, 2)))
        hessian = np.stack([np.stack([yy, yx], -1), np.stack([yx, xx], -1)], axis=-2)
        concave = (yy < 0) & (xx < 0) & (yy * xx - yx * yx > 0)
        step = np.zeros_like(shifts)
        step[concave] = -np.linalg.solve(hessian[concave], gradient[concave][..., None])[..., 0]
        shifts = np.clip(shifts + np.clip(step, -0.5, 0.5), start - 1, start + 1)
    return shifts, moments(shifts)[:, 0, 0].real
