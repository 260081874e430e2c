"""Simultaneous iterative reconstruction (SIRT), slab by slab."""

from __future__ import annotations

from threading import Lock

import numpy as np

from processing.device import CPU, Device
from processing.progress import Progress, silent
from processing.reconstruct.projector import Projector
from processing.scratch import Allocate, in_memory
from processing.series import Float32, TiltSeries


def sirt(
    projector: Projector,
    images: Float32,
    iterations: int,
    *,
    known: Float32 | None = None,
    start: Float32 | None = None,
    nonnegative: bool = True,
    momentum: bool = False,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Reconstruct a volume [z, y, x] from aligned images [tilt, y, u].

    x <- x + C W^T R (p - W x), with R and C the inverse row and column sums (Gilbert 1972; as in
    ASTRA). Slices are independent, so each block of slices runs through all iterations alone:
    beyond input and output, memory holds one block for each thread.

    Parameters
    ----------
    known
        1 where `images` [tilt, y, u] were recorded, 0 where they say nothing; default 1.
    start
        Volume to start from; zeros by default.
    nonnegative
        Set negative values to zero after every iteration.
    momentum
        Use Nesterov's extrapolation: n iterations then reach the misfit of n^2 / 4 plain ones.
    allocate
        Function that creates the array for the volume.
    """
    shape = (projector.depth, images.shape[1], projector.columns)
    volume = allocate(shape, np.float32)
    device, xp = projector.device, projector.device.xp
    gains = momentum_gains(iterations) if momentum else [np.float32(0)] * iterations
    rows = device.to_device(projector.row_weights[:, None])
    tiles = projector.tiles  # build them once, before the threads start
    parts = projector.slice_parts(images.shape[1])
    column_weights = device.to_device(projector.column_weights)
    columns = [column_weights[tile.rows, tile.columns].reshape(-1, 1) for tile in tiles]
    done, lock = 0, Lock()

    def count_iteration() -> None:
        nonlocal done
        with lock:
            done += 1
            progress("SIRT", done / (len(parts) * iterations))

    def reconstruct(part: slice) -> None:
        measured = projector.image_block(images, part)
        weights_of_rays = rows if known is None else rows * projector.image_block(known, part)
        if start is None:
            estimate = [
                xp.zeros((weights.size, len(measured[0])), dtype=np.float32) for weights in columns
            ]
            projected = xp.zeros_like(measured)
        else:
            estimate = [tile.read_block(start, part) for tile in tiles]
            projected = projector.forward_block(estimate)
        ahead = list(estimate)
        for gain in gains:
            residual = weights_of_rays * (measured - projected)
            projected[:] = 0
            # project each tile again while it is in the cache
            for n, tile in enumerate(tiles):
                step = tile.backward @ residual[tile.rays]
                step *= columns[n]
                step += ahead[n]
                if nonnegative:
                    xp.maximum(step, 0, out=step)
                ahead[n] = step + gain * (step - estimate[n]) if gain else step
                estimate[n] = step
                projected[tile.rays] += tile.forward @ ahead[n]
            count_iteration()
        for tile, block in zip(tiles, estimate, strict=True):
            tile.write_block(volume, part, block)

    for _ in device.map(reconstruct, parts):
        pass
    return volume


def momentum_gains(iterations: int) -> list[np.float32]:
    """Return Nesterov's extrapolation factor for each iteration."""
    pace, gains = 1.0, []
    for _ in range(iterations):
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        gains.append(np.float32((pace - 1) / next_pace))
        pace = next_pace
    return gains


def sirt_series(
    series: TiltSeries,
    iterations: int,
    *,
    depth: int | None = None,
    start: Float32 | None = None,
    momentum: bool = False,
    device: Device = CPU,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Reconstruct a volume [z, y, x] >= 0 from an aligned series.

    Excluded images are left out, non-finite pixels replaced; `series.known` weights the pixels.
    """
    used = series.usable()
    projector = Projector(used.angles_rad, used.images.shape[2], depth, device)
    return sirt(
        projector,
        used.images,
        iterations,
        known=used.known,
        start=start,
        momentum=momentum,
        allocate=allocate,
        progress=progress,
    )
