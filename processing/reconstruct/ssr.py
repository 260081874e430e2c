"""Sparse sphere reconstruction (SSR): equal spheres at sparse centres.

The volume is V = S * x, with sparse centres x >= 0 and the sphere S (Zanaga et al., Nanoscale 2016,
8, 292). The authors did not publish their solver; here FISTA (Beck and Teboulle 2009) minimises
``1/2 |S*x - V|^2 + lambda sum(x)``. Convolution with a sphere commutes with projection:
W (S * x) = s * (W x). The projected sphere s is the same at every tilt, and S and s share the form
factor of a ball.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from processing.device import CPU, Device
from processing.parallel import worker_threads
from processing.progress import Progress, silent
from processing.reconstruct.convolution import (
    SLAB,
    SphereConvolution,
    ball_form_factor,
    ball_volume,
    padded_shape,
)
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import momentum_gains
from processing.scratch import Allocate, in_memory
from processing.series import Float32, TiltSeries

DEVICE_VOLUMES = 14
"""Padded volumes that `ssr_volume` and its transforms need on a GPU."""


def ssr_volume(
    volume: Float32,
    diameter_px: float,
    *,
    iterations: int = 40,
    sparsity: float = 0.05,
    start: Float32 | None = None,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Find sphere centres x [z, y, x] in a reconstructed volume; 1 is a sphere of density 1.

    The work is done in slabs. `allocate` creates 4.7 volumes in all, including the result; beyond
    them each thread needs memory for a few planes. The CPU takes over if a volume is too large for
    a GPU.

    Parameters
    ----------
    volume
        Reconstructed density, [z, y, x].
    sparsity
        Lambda, as a fraction of the largest value of S^T V.
    start
        Sphere centres to start from; by default those of a single step.
    allocate
        Function that creates arrays the size of the volume.
    """
    if not device.holds(
        DEVICE_VOLUMES * 4 * float(np.prod(padded_shape(volume.shape, diameter_px)))
    ):
        device = CPU
    depth, xp = len(volume), device.xp
    spheres = SphereConvolution(volume.shape, diameter_px, device.allocator(allocate), device)
    descent, ahead, centres = (
        device.allocator(allocate)(volume.shape, np.float32) for _ in range(3)
    )

    def correlate(part: slice) -> None:
        descent[part] = spheres.read(part)

    spheres.write(device.to_device(volume))
    spheres.convolve(1)
    device.over_blocks(correlate, depth, SLAB)
    penalty = np.float32(sparsity * max(float(descent.max()), 0.0))
    # the step is 1 / |S^T S|, the inverse square of the mass of the sphere
    scale = np.float32(1 / ball_volume(diameter_px))

    def first_step(part: slice) -> None:
        descent[part] = (descent[part] - penalty) * scale
        centres[part] = xp.maximum(descent[part], 0)
        ahead[part] = centres[part]

    device.over_blocks(first_step, depth, SLAB)
    if start is not None:
        centres[:] = ahead[:] = device.to_device(start)
    for iteration, gain in enumerate(momentum_gains(iterations)[1:], start=1):
        progress("SSR", iteration / iterations)
        spheres.write(ahead)
        spheres.convolve(2)

        def take_step(part: slice, gain: np.float32 = gain) -> None:
            step = ahead[part] + descent[part]
            step -= spheres.read(part)
            xp.maximum(step, 0, out=step)
            ahead[part] = step + gain * (step - centres[part])
            centres[part] = step

        device.over_blocks(take_step, depth, SLAB)
    progress("SSR", 1.0)
    return device.to_host(centres)


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
    """Find sphere centres x [z, y, x] directly in aligned images [tilt, y, u].

    A gradient costs a SIRT iteration and a pair of 2D FFTs for each tilt. The row and column
    weights of SIRT are the preconditioner.
    """
    shape = padded_shape(images.shape[1:], diameter_px)
    q = 2 * np.pi * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    factor = ball_form_factor(q, diameter_px)
    mass = np.float32(factor.max())
    factor /= mass
    threads = worker_threads()
    rows = projector.row_weights.reshape(len(images), 1, projector.columns)
    columns = projector.column_weights[:, None]

    def blurred(stack: Float32) -> Float32:
        full: Float32 = fft.irfft2(
            fft.rfft2(stack, shape, workers=threads) * factor, shape, workers=threads
        )
        return full[:, : stack.shape[1], : stack.shape[2]]

    def back_projected(residual: Float32) -> Float32:
        return projector.backward(blurred(residual * rows)) * columns

    target = images / mass
    penalty = np.float32(sparsity * max(float(back_projected(target).max()), 0.0))

    def gradient(centres: Float32) -> Float32:
        return back_projected(blurred(projector.forward(centres)) - target) + penalty

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
    """Apply `ssr_images` to an aligned series.

    Excluded images are left out, non-finite pixels replaced.
    """
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
    ahead = centres
    for iteration, gain in enumerate(momentum_gains(iterations), start=1):
        step = np.maximum(ahead - gradient(ahead), 0)
        ahead = step + gain * (step - centres)
        centres = step
        progress("SSR", iteration / iterations)
    return centres
