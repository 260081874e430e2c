"""SIRT compared with ASTRA's own CPU SIRT, both with the `linear` projector, on the same cores.

The peer runs all iterations of a slice in one `run()`, with as many threads as ours. Times are per
slice and iteration, the best of a few repeats; ours include setting up the system matrix.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from processing.parallel import worker_threads
from processing.reconstruct.projector import Projector
from processing.reconstruct.sirt import sirt
from processing.series import Float32
from tests.benchmarks.row import Row
from tests.support.astra_sirt import astra_sirt

SIZE, TILTS, ITERATIONS = 320, 73, 20
SLICES, PEER_SLICES, REPEATS = 320, 4, 3
TARGET_RATIO = 1 / 15
AGREEMENT = 1e-4


def run() -> list[Row]:
    """Measure one row.

    Raises
    ------
    AssertionError
        The results differ.
    """
    angles = np.deg2rad(np.linspace(-70, 74, TILTS))
    images = _discs(angles, SLICES)
    few = np.ascontiguousarray(images[:, :PEER_SLICES])
    ours_s = peer_s = np.inf
    for _ in range(REPEATS):
        ours, took_s = _timed(lambda: sirt(Projector(angles, SIZE), images, ITERATIONS))
        ours_s = min(ours_s, took_s / (SLICES * ITERATIONS))
        theirs, took_s = _timed(lambda: astra_sirt(Projector(angles, SIZE), few, ITERATIONS))
        peer_s = min(peer_s, took_s / (PEER_SLICES * ITERATIONS))
    apart = np.abs(ours[:, :PEER_SLICES] - theirs).max() / theirs.max()
    if apart > AGREEMENT:
        raise AssertionError(f"SIRT differs from ASTRA's by {apart:.1e} of its maximum")
    problem = f"SIRT {SIZE}^2 x {TILTS}, slice-iteration, {worker_threads()} threads"
    return [Row(problem, ours_s, "ASTRA SIRT, linear", peer_s, TARGET_RATIO)]


def _timed(work: Callable[[], Float32]) -> tuple[Float32, float]:
    before = time.perf_counter()
    result = work()
    return result, time.perf_counter() - before


def _discs(angles_rad: np.ndarray, slices: int) -> np.ndarray:
    """Return images [tilt, y, u] of random discs in every slice, from their exact chords."""
    rng = np.random.default_rng(0)
    u = np.arange(SIZE) - (SIZE - 1) / 2
    images = np.zeros((TILTS, slices, SIZE), np.float32)
    for row in range(slices):
        for x, z in rng.uniform(-SIZE / 4, SIZE / 4, (40, 2)):
            middle = x * np.cos(angles_rad) + z * np.sin(angles_rad)
            square = 36 - (u[None] - middle[:, None]) ** 2
            images[:, row] += 2 * np.sqrt(np.maximum(square, 0))
    return images
