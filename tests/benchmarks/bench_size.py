"""Both series of large images and their fusion, from the files to the fused count.

The assembly of the paper, 165 nm, in 73 + 74 images of 1024 x 1024 and of 2048 x 2048 pixels, each
with the dose of the paper's frames. The peer is the limit itself. Each size runs in its own
process, which reports its peak memory with the mapped part of the files.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from processing import (
    ProcessSettings,
    combine_series,
    load_tilt_series,
    process_series,
    write_images,
)
from processing.files.rawtlt import write_rawtlt
from simulator.scoring import score_tables
from tests.benchmarks.data import A_DEG, B_DEG, recorded
from tests.benchmarks.row import Row

ASSEMBLY_NM = 165.0
SIZES = {1024: (0.2, 0.6, 240.0), 2048: (0.1, 0.15, 480.0)}
"""Pixel size (nm), dwell time (us) and limit (s) for each width of the images."""
LIMIT_GB = 6.0
LEAST_F1 = 0.999


def run() -> list[Row]:
    """Measure time and memory.

    Raises
    ------
    AssertionError
        Particles are missed or invented.
    """
    rows = []
    for side, (pixel_nm, dwell_us, limit_s) in SIZES.items():
        took = _measured(side, pixel_nm, dwell_us)
        print(f"  {side} px: {took}")
        if took["f1"] < LEAST_F1:
            raise AssertionError(f"{side} px: F1 {took['f1']:.4f}")
        problem = f"files to fused count, {side}^2 x 147"
        rows += [
            Row(f"{problem}: time", took["seconds"], "the limit", limit_s, 1.0, None, "s"),
            Row(f"{problem}: peak memory", took["GB"], "the limit", LIMIT_GB, 1.0, None, "GB"),
        ]
    return rows


def _measured(side: int, pixel_nm: float, dwell_us: float) -> dict[str, Any]:
    """Simulate both series, write them, and process them in a new process."""
    dual = recorded(ASSEMBLY_NM, side, pixel_nm, dwell_us)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for series, one, angles_deg in (("A", dual.a, A_DEG), ("B", dual.b, B_DEG)):
            write_images(folder / f"{series}.mrc", one.counts, pixel_nm)
            write_rawtlt(folder / f"{series}.rawtlt", angles_deg)
        truth = dual.truth
        del dual
        command = [sys.executable, "-m", __name__, str(folder)]
        child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    took: dict[str, Any] = json.loads(child.stdout)
    centres = np.array(took.pop("centres"))
    return took | {"f1": score_tables(truth, {"fused": centres}).tables["fused"].f1}


def _process(folder: Path) -> None:
    settings, before_s = ProcessSettings(), time.perf_counter()
    a, b = (
        process_series(load_tilt_series(folder / f"{name}.mrc", name=name), settings)
        for name in "AB"
    )
    fused = combine_series(a, b, settings)
    took = {
        "seconds": time.perf_counter() - before_s,
        "GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "bins": [one.summary.sampling.bin for one in (a, b) if one.summary.sampling],
        "count": fused.detection.count.n,
        "centres": fused.detection.table.centres_nm.tolist(),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    _process(Path(sys.argv[1]))
