"""Simultaneous iterative reconstruction (SIRT), slab by slab."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import numpy as np

from processing.progress import Progress, silent
from processing.reconstruct.astra_sirt import astra_sirt, gpu_is_there
from processing.reconstruct.projector import Projector, slabs, worker_threads
from processing.series import Float32, TiltSeries


def sirt(
    projector: Projector,
    images: Float32,
    iterations: int,
    *,
    start: Float32 | None = None,
    nonnegative: bool = True,
    momentum: bool = False,
    progress: Progress = silent,
) -> Float32:
    """Reconstruct a volume [z, y, x] from aligned images [tilt, y, u].

    x <- x + C W^T R (p - W x), R and C the inverse row and column sums (Gilbert 1972; as in
    ASTRA). Slices are independent, so that each slab runs through all iterations on its own:
    memory beyond input and output is that of one slab a thread.

    Parameters
    ----------
    start
        Volume to go on from.
    nonnegative
        Cut negative values after every iteration.
    momentum
        Nesterov's extrapolation: the misfit of n^2 / 4 plain iterations in about n.
    """
    slices = images.shape[1]
    volume = np.empty((projector.depth, slices, projector.columns), np.float32)
    parts = list(slabs(slices))
    rows = projector.row_weights[:, None]
    columns = projector.column_weights[:, None]
    projector.transposed  # noqa: B018 - built once, before the threads ask for it
    done, lock = 0, Lock()

    def count_iteration() -> None:
        nonlocal done
        with lock:
            done += 1
            progress("SIRT", done / (len(parts) * iterations))

    def reconstruct(part: slice) -> None:
        measured = projector.image_block(images, part)
        if start is None:
            estimate = np.zeros((projector.matrix.shape[1], measured.shape[1]), np.float32)
        else:
            estimate = projector.volume_block(start, part)
        ahead, pace = estimate, 1.0
        for _ in range(iterations):
            residual = projector.matrix @ ahead
            np.subtract(measured, residual, out=residual)
            residual *= rows
            step = projector.transposed @ residual
            step *= columns
            step += ahead
            if nonnegative:
                np.maximum(step, 0, out=step)
            if momentum:
                next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
                ahead = step + np.float32((pace - 1) / next_pace) * (step - estimate)
                pace = next_pace
            else:
                ahead = step
            estimate = step
            count_iteration()
        projector.put_volume(volume, part, estimate)

    with ThreadPoolExecutor(worker_threads()) as pool:
        for _ in pool.map(reconstruct, parts):
            pass
    return volume


def sirt_series(
    series: TiltSeries,
    iterations: int,
    *,
    depth: int | None = None,
    momentum: bool = False,
    progress: Progress = silent,
) -> Float32:
    """SIRT of an aligned series, excluded images and non-finite pixels left out.

    On a GPU, where there is one, by ASTRA: plain iterations there, n^2 / 4 of them in the place
    of n with momentum.
    """
    used = series.usable()
    projector = Projector(used.angles_rad, used.images.shape[2], depth)
    if gpu_is_there():
        plain = max(iterations, iterations**2 // 4) if momentum else iterations
        return astra_sirt(projector, used.images, plain, "cuda", progress=progress)
    return sirt(projector, used.images, iterations, momentum=momentum, progress=progress)
