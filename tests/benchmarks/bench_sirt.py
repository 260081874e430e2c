"""SIRT against ASTRA's own CPU SIRT, both with the `linear` projector, on the same cores.

The peer runs all iterations of a slice in one `run()`, slices in as many threads as ours. Times
are for a slice and an iteration; setting up the system matrix counts as ours.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import astra
import numpy as np

from processing.reconstruct.projector import Projector, worker_threads
from processing.reconstruct.sirt import sirt
from tests.benchmarks.row import Row

SIZE, TILTS, ITERATIONS = 320, 73, 20
SLICES, PEER_SLICES = 64, 4
TARGET_RATIO = 0.1
AGREEMENT = 1e-4


def run() -> list[Row]:
    """One row; refuses to time results that differ."""
    angles = np.deg2rad(np.linspace(-70, 74, TILTS))
    images = _discs(angles, SLICES)
    before = time.perf_counter()
    ours = sirt(Projector(angles, SIZE), images, ITERATIONS)
    ours_s = (time.perf_counter() - before) / (SLICES * ITERATIONS)
    before = time.perf_counter()
    theirs = _astra_sirt(images[:, :PEER_SLICES], angles)
    peer_s = (time.perf_counter() - before) / (PEER_SLICES * ITERATIONS)
    apart = np.abs(ours[:, :PEER_SLICES] - theirs).max() / theirs.max()
    if apart > AGREEMENT:
        raise AssertionError(f"SIRT differs from ASTRA's by {apart:.1e} of its maximum")
    problem = f"SIRT {SIZE}^2 x {TILTS}, slice-iteration, {worker_threads()} threads"
    return [Row(problem, ours_s, "ASTRA SIRT, linear", peer_s, TARGET_RATIO)]


def _discs(angles_rad: np.ndarray, slices: int) -> np.ndarray:
    """Images [tilt, y, u] of random discs in every slice, their chords in closed form."""
    rng = np.random.default_rng(0)
    u = np.arange(SIZE) - (SIZE - 1) / 2
    images = np.zeros((TILTS, slices, SIZE), np.float32)
    for row in range(slices):
        for x, z in rng.uniform(-SIZE / 4, SIZE / 4, (40, 2)):
            middle = x * np.cos(angles_rad) + z * np.sin(angles_rad)
            square = 36 - (u[None] - middle[:, None]) ** 2
            images[:, row] += 2 * np.sqrt(np.maximum(square, 0))
    return images


def _astra_sirt(images: np.ndarray, angles_rad: np.ndarray) -> np.ndarray:
    with ThreadPoolExecutor(worker_threads()) as pool:
        rows = pool.map(lambda row: _astra_slice(images[:, row], angles_rad), range(PEER_SLICES))
        return np.stack(list(rows), axis=1)


def _astra_slice(sinogram: np.ndarray, angles_rad: np.ndarray) -> np.ndarray:
    volume = astra.create_vol_geom(SIZE, SIZE)
    rays = astra.create_proj_geom("parallel", 1.0, SIZE, -angles_rad)
    projector = astra.create_projector("linear", rays, volume)
    measured = astra.data2d.create("-sino", rays, sinogram)
    result = astra.data2d.create("-vol", volume, 0)
    algorithm = astra.algorithm.create(
        {
            "type": "SIRT",
            "ProjectorId": projector,
            "ProjectionDataId": measured,
            "ReconstructionDataId": result,
            "option": {"MinConstraint": 0.0},
        }
    )
    try:
        astra.algorithm.run(algorithm, ITERATIONS)
        return np.asarray(astra.data2d.get(result))
    finally:
        astra.algorithm.delete(algorithm)
        astra.data2d.delete([measured, result])
        astra.projector.delete(projector)
