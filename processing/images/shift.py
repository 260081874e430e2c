"""Sub-pixel displacement between images by band-passed cross-correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.device import CPU, Array, Device
from processing.images.taper import taper
from processing.series import Float32, Float64

NEWTON_STEPS = 4
TAPERED_SHARE = 0.2
"""Fraction of rows and columns in the smooth edges of the images."""
COPIES = 12
"""Arrays as large as an image and its spectrum that exist at a time."""


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
    images: Float32,
    references: Float32,
    band: Band = Band(),
    max_shift_px: float | None = None,
    *,
    device: Device = CPU,
) -> Shifts:
    """Cross-correlate each image with its reference, both [image, y, x].

    The images are tapered at their borders and padded, so that nothing wraps round. The maximum at
    whole pixels is refined by Newton's method on the Fourier series of the correlation, which
    interpolates it exactly. `max_shift_px` is half the shorter side by default.
    """
    (shifts,) = shifts_in_bands(images, references, [band], max_shift_px, device=device)
    return shifts


def shifts_in_bands(
    images: Float32,
    references: Float32,
    bands: Sequence[Band],
    max_shift_px: float | None = None,
    *,
    device: Device = CPU,
) -> list[Shifts]:
    """Return the result of `find_shifts` for each band; the images are transformed only once."""
    rows, columns = images.shape[1:]
    limit_px = max_shift_px if max_shift_px is not None else min(rows, columns) / 2
    shape = tuple(
        fft.next_fast_len(n + int(np.ceil(limit_px)) + 1, real=True) for n in (rows, columns)
    )

    def in_part(part: slice) -> list[Shifts]:
        own, other = (_spectra(stack[part], shape, device) for stack in (images, references))
        return [_shifts_of(own, other, shape, band, limit_px, device) for band in bands]

    parts = device.blocks(len(images), COPIES * 4 * float(np.prod(shape)))
    found = zip(*device.map(in_part, parts), strict=True)
    return [
        Shifts(
            np.concatenate([each.shifts_px for each in of_band]),
            np.concatenate([each.scores for each in of_band]),
        )
        for of_band in found
    ]


def _shifts_of(
    spectra: Array,
    references: Array,
    shape: tuple[int, ...],
    band: Band,
    limit_px: float,
    device: Device,
) -> Shifts:
    """Return the shifts between images of these spectra [image, ky, kx], in one band."""
    weight = device.to_device(_band_pass(shape, band))
    spectra, references = spectra * weight, references * weight
    energy = np.sqrt(_energy(spectra, shape, device) * _energy(references, shape, device))
    cross = spectra * references.conj()
    correlation = device.fft.irfft2(cross, shape)
    start = _whole_pixel_peak(correlation, limit_px, device)
    shifts, highest = _refine_peak(cross, start, shape, device)
    return Shifts(shifts, highest / np.maximum(energy, 1e-30))


def _spectra(images: Float32, shape: tuple[int, ...], device: Device) -> Array:
    level = np.median(_border(images), axis=-1)[:, None, None]
    window = np.outer(*(taper(n, TAPERED_SHARE) for n in images.shape[1:])).astype(np.float32)
    tapered = device.to_device((images - level) * window, np.float32)
    return device.xp.asarray(device.fft.rfft2(tapered, shape), dtype=np.complex64)


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


def _energy(spectra: Array, shape: tuple[int, ...], device: Device) -> Float64:
    """Return the sum over the full spectra, of which `rfft2` returns half, of their squares."""
    squares = spectra.real**2 + spectra.imag**2
    by_column = device.xp.sum(squares, axis=1, dtype=np.float64)
    return np.asarray(device.to_host(by_column) @ _full_sum_weights(shape), np.float64)


def _whole_pixel_peak(correlation: Array, limit_px: float, device: Device) -> Float64:
    rows, columns = correlation.shape[1:]
    y = np.fft.fftfreq(rows, 1 / rows)[:, None]
    x = np.fft.fftfreq(columns, 1 / columns)[None, :]
    allowed = device.to_device((np.abs(y) <= limit_px) & (np.abs(x) <= limit_px))
    near = device.xp.where(allowed, correlation, correlation.dtype.type(-np.inf))
    flat = device.to_host(device.xp.argmax(near.reshape(len(near), -1), axis=1))
    top, left = np.unravel_index(flat, (rows, columns))
    return np.stack([y[top, 0], x[0, left]], axis=1)


def _refine_peak(
    cross: Array, start: Float64, shape: tuple[int, ...], device: Device
) -> tuple[Float64, Float64]:
    """Maximise C(s) = sum Re(cross exp(i k s)) by Newton's method, within a pixel of `start`.

    The phase is a product of one factor along y and one along x, so that C and its derivatives come
    from two small matrix products.
    """
    ky, kx = (k.ravel() for k in _frequencies(shape))
    powers_y, powers_x = (k ** np.arange(3)[:, None] for k in (ky, kx))
    weighted = cross * device.to_device(_full_sum_weights(shape).astype(np.complex128))

    def moments(shifts: Float64) -> NDArray[np.complex128]:
        """Return the sums of ky^a kx^b cross exp(i k s), [image, a, b]."""
        along_y = device.to_device(powers_y * np.exp(1j * ky * shifts[:, :1])[:, None])
        along_x = device.to_device(powers_x * np.exp(1j * kx * shifts[:, 1:])[:, None])
        sums = along_y @ (weighted @ device.xp.swapaxes(along_x, 1, 2))
        return np.asarray(device.to_host(sums), np.complex128)

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
