"""SIRT by ASTRA, slice by slice: used on a GPU, and as the reference for our own SIRT."""

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
_ASTRA_NAMES: dict[Device, tuple[str, str]] = {
    "cpu": ("SIRT", "linear"),
    "cuda": ("SIRT_CUDA", "cuda"),
}
"""Algorithm and projector of ASTRA for each device."""


def gpu_available() -> bool:
    """Return true if ASTRA can use a GPU."""
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
    """Reconstruct a volume [z, y, x] >= 0 from aligned images [tilt, y, u].

    The geometry is that of `Projector` on every device. All slices have the same 2D geometry.
    """
    slices = images.shape[1]
    volume = allocate((projector.depth, slices, projector.columns), np.float32)

    def reconstruct(row: int) -> None:
        volume[:, row] = _slice(projector, images[:, row], iterations, device)
        progress("SIRT", (row + 1) / slices)

    threads = worker_threads() if device == "cpu" else 1  # a GPU processes one slice at a time
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(reconstruct, range(slices)):
            pass
    return volume


def _slice(projector: Projector, sinogram: Float32, iterations: int, device: Device) -> Float32:
    algorithm_name, projector_name = _ASTRA_NAMES[device]
    volume = astra.create_vol_geom(projector.depth, projector.columns)
    # the rows of ASTRA run opposite to our z
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
