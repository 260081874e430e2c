"""SIRT by ASTRA, slice by slice: the reference for our own SIRT."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import astra
import numpy as np

from processing.parallel import worker_threads
from processing.progress import Progress, silent
from processing.reconstruct.projector import Projector
from processing.scratch import Allocate, in_memory
from processing.series import Float32


def astra_sirt(
    projector: Projector,
    images: Float32,
    iterations: int,
    *,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Reconstruct a volume [z, y, x] >= 0 from aligned images [tilt, y, u].

    The geometry is that of `Projector`. All slices have the same 2D geometry.
    """
    slices = images.shape[1]
    volume = allocate((projector.depth, slices, projector.columns), np.float32)

    def reconstruct(row: int) -> None:
        volume[:, row] = _slice(projector, images[:, row], iterations)
        progress("SIRT", (row + 1) / slices)

    with ThreadPoolExecutor(worker_threads()) as pool:
        for _ in pool.map(reconstruct, range(slices)):
            pass
    return volume


def _slice(projector: Projector, sinogram: Float32, iterations: int) -> Float32:
    volume = astra.create_vol_geom(projector.depth, projector.columns)
    # the rows of ASTRA run opposite to our z
    rays = astra.create_proj_geom("parallel", 1.0, projector.columns, -projector.angles_rad)
    on_device = astra.create_projector("linear", rays, volume)
    measured = astra.data2d.create("-sino", rays, np.ascontiguousarray(sinogram, np.float32))
    result = astra.data2d.create("-vol", volume, 0)
    algorithm = astra.algorithm.create(
        {
            "type": "SIRT",
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
