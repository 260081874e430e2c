"""Both series and their fusion under a memory limit that the volumes exceed, and without one.

Each runs in its own process, which reports its peak anonymous memory (file cache of the operating
system is not included) minus the memory in use after the images are read. Linux only.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from processing.pipeline.dual import combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from tests.benchmarks.data import in_child, read_both, recorded
from tests.benchmarks.row import Row

ASSEMBLY_NM, SIZE, PIXEL_NM = 90.0, 256, 0.45
PLENTY_GB, TIGHT_GB = 6.0, 0.3
EVERY_S = 0.02


def run() -> list[Row]:
    """Measure memory and time.

    Raises
    ------
    AssertionError
        The particles found differ.
    """
    dual = recorded(ASSEMBLY_NM, SIZE, PIXEL_NM)
    tight, plenty = (in_child(__name__, dual, str(limit_GB)) for limit_GB in (TIGHT_GB, PLENTY_GB))
    if not np.allclose(tight["centres"], plenty["centres"], atol=1e-3):
        raise AssertionError("the particles found differ under the memory limit")
    problem = f"two series and fusion, {SIZE}^3, limit {TIGHT_GB:g} GB"
    peer = f"limit {PLENTY_GB:g} GB"
    return [
        Row(f"{problem}: own memory", tight["GB"], peer, plenty["GB"], 1.0, None, "GB"),
        Row(f"{problem}: time", tight["seconds"], peer, plenty["seconds"], None, None, "s"),
    ]


def _measure(file: Path, limit_GB: float) -> None:
    settings = ProcessSettings(memory_limit_GB=limit_GB)
    a, b = read_both(file, PIXEL_NM)
    before_GB, before = _own_GB(), time.perf_counter()
    with _watched() as peak:
        results = process_series(a, settings), process_series(b, settings)
        fused = combine_series(*results, settings)
    took = {
        "GB": peak[0] - before_GB,
        "seconds": time.perf_counter() - before,
        "centres": fused.detection.table.centres_nm.tolist(),
    }
    print(json.dumps(took))


@contextmanager
def _watched() -> Iterator[list[float]]:
    """Measure the peak anonymous memory of this process while the block runs, GB."""
    peak, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(EVERY_S):
            peak[0] = max(peak[0], _own_GB())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _own_GB() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return float(line.split()[1]) * 1024 / 1e9


if __name__ == "__main__":
    _measure(Path(sys.argv[1]), float(sys.argv[2]))
