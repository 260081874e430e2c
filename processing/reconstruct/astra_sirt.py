"""ASTRA's own SIRT, slice by slice: on a GPU where there is one, and the peer ours is held to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import astra
import numpy as np

from processing.parallel import worker_threads
from processing.progress import Progress, silent
from processing.reconstruct.projector import Projector
from processing.scratch import Allocate, in_memory
from processing.series import Float32

Device = Literal["cpu", "cuda"]
_WORDS: dict[Device, tuple[str, str]] = {"cpu": ("SIRT", "linear"), "cuda": ("SIRT_CUDA", "cuda")}


def gpu_available() -> bool:
    """Tell whether ASTRA finds a GPU it can use."""
    return bool(astra.use_cuda())


def astra_sirt(
    projector: Projector,
    images: Float32,
    iterations: int,
    device: Device,
    *,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Reconstruct a volume [z, y, x] from aligned images [tilt, y, u], never negative.

    The geometry is the one `Projector` makes its matrix for, whatever the device: every slice
    has the same, so that 2D is all it takes.
    """
    slices = images.shape[1]
    volume = allocate((projector.depth, slices, projector.columns), np.float32)

    def reconstruct(row: int) -> None:
        volume[:, row] = _slice(projector, images[:, row], iterations, device)
        progress("SIRT", (row + 1) / slices)

    threads = worker_threads() if device == "cpu" else 1  # one GPU takes one slice after another
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(reconstruct, range(slices)):
            pass
    return volume


def _slice(projector: Projector, sinogram: Float32, iterations: int, device: Device) -> Float32:
    algorithm_name, projector_name = _WORDS[device]
    volume = astra.create_vol_geom(projector.depth, projector.columns)
    # ASTRA's rows run against our z
    rays = astra.create_proj_geom("parallel", 1.0, projector.columns, -projector.angles_rad)
    on_device = astra.create_projector(projector_name, rays, volume)
    measured = astra.data2d.create("-sino", rays, np.ascontiguousarray(sinogram, np.float32))
    result = astra.data2d.create("-vol", volume, 0)
    algorithm = astra.algorithm.create(
        {
            "type": algorithm_name,
            "ProjectorId": on_device,
            "ProjectionDataId": measured,
            "ReconstructionDataId": result,
            "option": {"MinConstraint": 0.0},
        }
    )
    try:
        astra.algorithm.run(algorithm, iterations)
        return np.asarray(astra.data2d.get(result), np.float32)
    finally:
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([measured, result])
        astra.projector.delete(on_device)
