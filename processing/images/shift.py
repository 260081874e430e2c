"""Displacement between images by band-passed correlation, below the pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal.windows import tukey

from processing.series import Float32, Float64

NEWTON_STEPS = 4


@dataclass(frozen=True)
class Band:
    """Details kept, by the standard deviations of the two Gaussians that bound them, pixels."""

    fine_px: float = 1.0
    coarse_px: float = 8.0


@dataclass(frozen=True)
class Shifts:
    """Displacements of a stack of images against their references.

    Attributes
    ----------
    shifts_px
        [image, (y, x)]: the image shows what its reference shows, moved by this much.
    scores
        [image], normalised correlation at the optimum, -1..1.
    """

    shifts_px: Float64
    scores: Float64


def find_shifts(
    images: Float32, references: Float32, band: Band = Band(), max_shift_px: float | None = None
) -> Shifts:
    """Correlate each image with its reference, both [image, y, x].

    The images are apodised and padded, so that nothing wraps round; the whole-pixel optimum is
    refined by Newton's method on the correlation's Fourier series, which interpolates it exactly.
    """
    rows, columns = images.shape[1:]
    reach = max_shift_px if max_shift_px is not None else min(rows, columns) / 2
    shape = tuple(
        fft.next_fast_len(n + int(np.ceil(reach)) + 1, real=True) for n in (rows, columns)
    )
    weight = _band_pass(shape, band)
    spectrum = _spectrum(images, shape) * weight
    reference = _spectrum(references, shape) * weight
    energy = np.sqrt(_total(np.abs(spectrum) ** 2, shape) * _total(np.abs(reference) ** 2, shape))
    cross = spectrum * np.conj(reference)
    start = _whole_pixel_peak(fft.irfft2(cross, shape, workers=-1), reach)
    shifts, height = _climb(cross, start, shape)
    return Shifts(shifts, height / np.maximum(energy, 1e-30))


def _spectrum(images: Float32, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    level = np.median(_rim(images), axis=-1)[:, None, None]
    window = np.outer(tukey(images.shape[1], 0.2), tukey(images.shape[2], 0.2)).astype(np.float32)
    return np.asarray(fft.rfft2((images - level) * window, shape, workers=-1), np.complex64)


def _rim(images: Float32) -> Float32:
    """Border pixels [image, n]: what surrounds the object."""
    top, bottom = images[:, 0], images[:, -1]
    return np.concatenate([top, bottom, images[:, :, 0], images[:, :, -1]], axis=1)


def _frequencies(shape: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Radians a pixel along y [n, 1] and x [1, m] of a half spectrum."""
    ky = np.asarray(2 * np.pi * np.fft.fftfreq(shape[0])[:, None], np.float64)
    kx = np.asarray(2 * np.pi * np.fft.rfftfreq(shape[1])[None, :], np.float64)
    return ky, kx


def _band_pass(shape: tuple[int, ...], band: Band) -> Float32:
    ky, kx = _frequencies(shape)
    square = (ky**2 + kx**2) / 2
    kept = np.exp(-square * band.fine_px**2) - np.exp(-square * band.coarse_px**2)
    return np.asarray(kept, np.float32)


def _total(values: NDArray[np.floating], shape: tuple[int, ...]) -> Float64:
    """Sum over a full spectrum of which `values` are the half."""
    doubled = 2 * values.sum(axis=(1, 2), dtype=np.float64) - values[:, :, 0].sum(axis=1)
    if shape[1] % 2 == 0:
        doubled -= values[:, :, -1].sum(axis=1)
    return np.asarray(doubled, np.float64)


def _whole_pixel_peak(correlation: Float32, reach: float) -> Float64:
    rows, columns = correlation.shape[1:]
    y = np.fft.fftfreq(rows, 1 / rows)[:, None]
    x = np.fft.fftfreq(columns, 1 / columns)[None, :]
    allowed = np.where((np.abs(y) <= reach) & (np.abs(x) <= reach), correlation, -np.inf)
    flat = allowed.reshape(len(correlation), -1).argmax(axis=1)
    top, left = np.unravel_index(flat, (rows, columns))
    return np.stack([y[top, 0], x[0, left]], axis=1)


def _climb(
    cross: NDArray[np.complex64], start: Float64, shape: tuple[int, ...]
) -> tuple[Float64, Float64]:
    """Newton's method on C(s) = sum Re(cross exp(i k s)); never more than a pixel from `start`."""
    ky, kx = _frequencies(shape)
    shifts: Float64 = start.copy()
    for _ in range(NEWTON_STEPS):
        turned = cross * np.exp(
            1j * (ky * shifts[:, 0, None, None] + kx * shifts[:, 1, None, None])
        )
        slope = -np.stack(
            [_total(ky * turned.imag, shape), _total(kx * turned.imag, shape)], axis=1
        )
        yy = -_total(ky * ky * turned.real, shape)
        yx = -_total(ky * kx * turned.real, shape)
        xx = -_total(kx * kx * turned.real, shape)
        bend = np.stack([np.stack([yy, yx], -1), np.stack([yx, xx], -1)], axis=-2)
        curved = (yy < 0) & (xx < 0) & (yy * xx - yx * yx > 0)
        step = np.zeros_like(shifts)
        step[curved] = -np.linalg.solve(bend[curved], slope[curved][..., None])[..., 0]
        shifts = np.clip(shifts + np.clip(step, -0.5, 0.5), start - 1, start + 1)
    turned = cross * np.exp(1j * (ky * shifts[:, 0, None, None] + kx * shifts[:, 1, None, None]))
    return shifts, _total(turned.real, shape)
