"""SIRT against ASTRA's own CPU SIRT, both with the `linear` projector, on the same cores.

The peer runs all iterations of a slice in one `run()`, slices in as many threads as ours. Times
are for a slice and an iteration; setting up the system matrix counts as ours.
"""

from __future__ import annotations

import time

import numpy as np

from processing.reconstruct.astra_sirt import astra_sirt
from processing.reconstruct.projector import Projector, worker_threads
from processing.reconstruct.sirt import sirt
from tests.benchmarks.row import Row

SIZE, TILTS, ITERATIONS = 320, 73, 20
SLICES, PEER_SLICES = 320, 4
TARGET_RATIO = 1 / 15
AGREEMENT = 1e-4


def run() -> list[Row]:
    """One row; refuses to time results that differ."""
    angles = np.deg2rad(np.linspace(-70, 74, TILTS))
    images = _discs(angles, SLICES)
    before = time.perf_counter()
    ours = sirt(Projector(angles, SIZE), images, ITERATIONS)
    ours_s = (time.perf_counter() - before) / (SLICES * ITERATIONS)
    before = time.perf_counter()
    theirs = astra_sirt(Projector(angles, SIZE), images[:, :PEER_SLICES], ITERATIONS, "cpu")
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
