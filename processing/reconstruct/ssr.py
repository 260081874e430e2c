"""Sparse sphere reconstruction: the specimen as equal spheres on sparse centres.

V = S * x with x >= 0 sparse and S the sphere (Zanaga et al., Nanoscale 2016, 8, 292). Its solver
was not published; here min 1/2 |S*x - V|^2 + lambda sum(x) by FISTA (Beck and Teboulle 2009).
Convolution with a sphere commutes with projection, W (S * x) = s * (W x), s the projected sphere,
the same at every tilt: the form factor of a ball serves both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.progress import Progress, silent
from processing.reconstruct.projector import Projector, worker_threads
from processing.series import Float32, TiltSeries


def ball_form_factor(q_per_px: NDArray[np.floating], diameter_px: float) -> Float32:
    """Fourier transform of a ball of density 1, px^3, at q (radians a pixel).

    V 3 (sin qR - qR cos qR) / (qR)^3; the same values are those of its projection.
    """
    radius = diameter_px / 2
    qr = np.maximum(np.asarray(q_per_px, np.float64) * radius, 1e-2)
    shape = 3 * (np.sin(qr) - qr * np.cos(qr)) / qr**3
    return np.asarray(4 / 3 * np.pi * radius**3 * shape, np.float32)


def ssr_volume(
    volume: Float32,
    diameter_px: float,
    *,
    iterations: int = 40,
    sparsity: float = 0.05,
    progress: Progress = silent,
) -> Float32:
    """Sphere centres x [z, y, x] of a reconstructed volume; 1 is one sphere of density 1.

    Parameters
    ----------
    volume
        [z, y, x], density as reconstructed.
    sparsity
        lambda, as a fraction of the largest value that S^T V takes.
    """
    shape = _padded(volume.shape, diameter_px)
    factor = ball_form_factor(_radius_of_frequency(shape), diameter_px)
    threads = worker_threads()

    def spectrum(values: Float32) -> NDArray[np.complex64]:
        return np.asarray(fft.rfftn(values, shape, workers=threads), np.complex64)

    def convolved(values: Float32) -> Float32:
        full: Float32 = fft.irfftn(spectrum(values) * power, shape, workers=threads)
        return full[tuple(slice(n) for n in volume.shape)]

    power = factor * factor
    target: Float32 = fft.irfftn(spectrum(volume) * factor, shape, workers=threads)
    target = target[tuple(slice(n) for n in volume.shape)]
    penalty = np.float32(sparsity * max(float(target.max()), 0.0))
    inverse_step = np.float32(power.max())

    def gradient(centres: Float32) -> Float32:
        return (convolved(centres) - target + penalty) / inverse_step

    return _fista(gradient, np.zeros_like(volume), iterations, progress)


def ssr_images(
    projector: Projector,
    images: Float32,
    diameter_px: float,
    *,
    iterations: int = 40,
    sparsity: float = 0.02,
    start: Float32 | None = None,
    progress: Progress = silent,
) -> Float32:
    """Sphere centres x [z, y, x] straight from aligned images [tilt, y, u].

    Each gradient is a SIRT iteration's plus one pair of 2D FFTs a tilt; SIRT's row and column
    weights precondition it.
    """
    shape = _padded(images.shape[1:], diameter_px)
    factor = ball_form_factor(_radius_of_frequency(shape), diameter_px)
    mass = np.float32(factor.max())
    factor /= mass
    threads = worker_threads()
    rows = projector.row_weights.reshape(len(images), 1, projector.columns)
    columns = projector.column_weights.reshape(projector.depth, 1, projector.columns)

    def blurred(stack: Float32) -> Float32:
        full: Float32 = fft.irfft2(
            fft.rfft2(stack, shape, workers=threads) * factor, shape, workers=threads
        )
        return full[:, : stack.shape[1], : stack.shape[2]]

    def weighted_back(residual: Float32) -> Float32:
        return projector.backward(blurred(residual * rows)) * columns

    target = images / mass
    penalty = np.float32(sparsity * max(float(weighted_back(target).max()), 0.0))

    def gradient(centres: Float32) -> Float32:
        return weighted_back(blurred(projector.forward(centres)) - target) + penalty

    first = np.zeros((projector.depth, images.shape[1], projector.columns), np.float32)
    return _fista(gradient, first if start is None else start, iterations, progress)


def ssr_series(
    series: TiltSeries,
    diameter_px: float,
    *,
    iterations: int = 40,
    sparsity: float = 0.02,
    depth: int | None = None,
    progress: Progress = silent,
) -> Float32:
    """`ssr_images` of an aligned series, excluded images and non-finite pixels left out."""
    used = series.usable()
    projector = Projector(used.angles_rad, used.images.shape[2], depth)
    return ssr_images(
        projector,
        used.images,
        diameter_px,
        iterations=iterations,
        sparsity=sparsity,
        progress=progress,
    )


def _fista(
    gradient: Callable[[Float32], Float32], centres: Float32, iterations: int, progress: Progress
) -> Float32:
    ahead, pace = centres, 1.0
    for iteration in range(iterations):
        step = np.maximum(ahead - gradient(ahead), 0)
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = step + np.float32((pace - 1) / next_pace) * (step - centres)
        centres, pace = step, next_pace
        progress("SSR", (iteration + 1) / iterations)
    return centres


def _padded(shape: tuple[int, ...], diameter_px: float) -> tuple[int, ...]:
    # room for a sphere at an edge, so that nothing wraps round
    return tuple(fft.next_fast_len(n + int(np.ceil(diameter_px)) + 1, real=True) for n in shape)


def _radius_of_frequency(shape: tuple[int, ...]) -> Float32:
    axes = [np.fft.fftfreq(n) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1])]
    grids = np.meshgrid(*axes, indexing="ij", sparse=True)
    return np.asarray(2 * np.pi * np.sqrt(sum(g * g for g in grids)), np.float32)
