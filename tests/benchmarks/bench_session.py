"""Time from the last frame of series B to the fused count, at the size of a whole session.

In a session, A is processed while the operator flips the grid, so its result is ready when the
clock starts. All processing runs in its own process, whose peak memory is measured too. The peer is
the reconstruction alone, before any count: 100 iterations of ASTRA's CPU SIRT on B, on the same
cores, extrapolated from a few slices.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.reconstruct.projector import Projector
from tests.benchmarks.data import A_DEG, B_DEG, in_child, read_both, recorded
from tests.benchmarks.row import Row
from tests.support.astra_sirt import astra_sirt

ASSEMBLY_NM, SIZE, PIXEL_NM = 165.0, 320, 0.56
LIMIT_S, LIMIT_GB = 300.0, 6.0
PEER_ITERATIONS, PEER_SLICES, PEER_RUN = 100, 4, 5


def run() -> list[Row]:
    """Measure time and peak memory."""
    dual = recorded(ASSEMBLY_NM, SIZE, PIXEL_NM)
    took = in_child(__name__, dual)
    print(f"  {took['n']} particles counted, {len(dual.truth)} in the specimen")
    problem = f"last frame of B to fused count, {SIZE}^3 x {len(A_DEG) + len(B_DEG)}"
    peer = f"ASTRA SIRT, {PEER_ITERATIONS} iterations of B"
    return [
        Row(problem, took["seconds"], peer, _peer_s(dual.b.counts), None, LIMIT_S, "s"),
        Row(f"{problem}, peak memory", took["GB"], "the limit", LIMIT_GB, 1.0, None, "GB"),
    ]


def _peer_s(counts: np.ndarray) -> float:
    few = counts[:, SIZE // 2 : SIZE // 2 + PEER_SLICES].astype(np.float32)
    before = time.perf_counter()
    astra_sirt(Projector(np.deg2rad(B_DEG), SIZE), few, PEER_RUN)
    return (time.perf_counter() - before) * (PEER_ITERATIONS / PEER_RUN) * (SIZE / PEER_SLICES)


def _measure(file: Path) -> None:
    """Print time, peak memory and count of one session's processing, as JSON."""
    settings = ProcessSettings()
    a, b = read_both(file, PIXEL_NM)
    result_a = process_series(a, settings)
    before = time.perf_counter()
    result_b = process_series(b, settings)
    fused = combine_series(result_a, result_b, settings)
    seconds = time.perf_counter() - before
    peak_GB = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    took = {"seconds": seconds, "GB": peak_GB, "n": fused.detection.count.n}
    print(json.dumps(took))


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
