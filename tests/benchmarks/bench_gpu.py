"""SIRT on a GPU compared with ASTRA's SIRT3D_CUDA, both on the same card; no rows without a GPU.

The peer runs n^2 / 4 plain iterations for n with momentum, and fits the images somewhat better
(docs/devices.md). Both times include the copies to the card and back; the system matrix is set up
before.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import astra
import numpy as np

from processing.device import CPU, device
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.series import Float32
from tests.benchmarks.row import Row

SIZES, TILTS, ITERATIONS, REPEATS = (208, 320, 512), 73, 20, 2
PLAIN = ITERATIONS**2 // 4


def run() -> list[Row]:
    """Measure one row for each size."""
    gpu = device("auto")
    if gpu is CPU:
        return []
    angles = np.deg2rad(np.linspace(-70, 74, TILTS))
    rows = []
    for size in SIZES:
        images = np.random.default_rng(0).random((TILTS, size, size), np.float32)
        projector = Projector(angles, size, device=gpu)
        sirt(projector, images[:, :2], 2, momentum=True)  # builds matrices, compiles kernels

        def ours(projector: Projector = projector, images: Float32 = images) -> None:
            sirt(projector, images, ITERATIONS, momentum=True)

        def theirs(images: Float32 = images) -> None:
            _sirt_3d(angles, images)

        problem = f"SIRT {size}^3 x {TILTS} on a GPU, {ITERATIONS} with momentum"
        peer = f"ASTRA SIRT3D_CUDA, {PLAIN} plain"
        rows.append(Row(problem, _best_s(ours), peer, _best_s(theirs), 1.0))
    return rows


def _best_s(work: Callable[[], None]) -> float:
    took = []
    for _ in range(REPEATS):
        before = time.perf_counter()
        work()
        took.append(time.perf_counter() - before)
    return min(took)


def _sirt_3d(angles_rad: np.ndarray, images: Float32) -> Float32:
    slices, columns = images.shape[1:]
    volume = astra.create_vol_geom(columns, columns, slices)
    rays = astra.create_proj_geom("parallel3d", 1.0, 1.0, slices, columns, -angles_rad)
    by_row = np.ascontiguousarray(images.swapaxes(0, 1))
    measured = astra.data3d.create("-sino", rays, by_row)
    result = astra.data3d.create("-vol", volume, 0)
    algorithm = astra.algorithm.create(
        {
            "type": "SIRT3D_CUDA",
            "ProjectionDataId": measured,
            "ReconstructionDataId": result,
            "option": {"MinConstraint": 0.0},
        }
    )
    try:
        astra.algorithm.run(algorithm, PLAIN)
        return np.asarray(astra.data3d.get(result), np.float32)
    finally:
        astra.algorithm.delete(algorithm)
        astra.data3d.delete([measured, result])
