"""Both series of large images and their fusion, from the files to the fused count.

The peer is the limit itself. Each size runs in its own process, which reports its peak memory with
the mapped part of the files. `python -m tests.benchmarks.bench_size SIDE FOLDER` measures one size
and keeps its series in the folder, so that they are simulated only once.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processing import ProcessSettings, combine_series, load_tilt_series, process_series
from simulator.scoring import score_tables
from tests.benchmarks.large_series import read_truth, write_series
from tests.benchmarks.row import Row

LIMITS_S = {1024: 240.0, 2048: 480.0}
"""Limit for each width of the images."""
LIMIT_GB = 6.0
LEAST_F1 = 0.999
LARGEST_RMS_NM = 0.15


def run() -> list[Row]:
    """Measure time and memory.

    Raises
    ------
    AssertionError
        Particles are missed, invented or displaced.
    """
    rows = []
    for side in LIMITS_S:
        with tempfile.TemporaryDirectory() as name:
            rows += measured(side, Path(name))
    return rows


def measured(side: int, folder: Path) -> list[Row]:
    """Process the series of a folder in a new process; simulate them if need be."""
    write_series(side, folder)
    command = [sys.executable, "-m", __spec__.name, str(folder)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    took: dict[str, Any] = json.loads(child.stdout)
    print(f"  {side} px: {took}", flush=True)
    if took["F1"] < LEAST_F1:
        raise AssertionError(f"{side} px: F1 {took['F1']:.4f}")
    if max(took["rms nm"]) > LARGEST_RMS_NM:
        raise AssertionError(f"{side} px: places are {max(took['rms nm'])} nm off")
    problem = f"files to fused count, {side}^2 x 147"
    limit_s = LIMITS_S.get(side, float("inf"))
    return [
        Row(f"{problem}: time", took["wall s"], "the limit", limit_s, 1.0, None, "s"),
        Row(f"{problem}: peak memory", took["peak GB"], "the limit", LIMIT_GB, 1.0, None, "GB"),
    ]


def _process(folder: Path) -> dict[str, Any]:
    """Process both series as `dualtilt process` does; return time, memory and score."""
    settings, before_s = ProcessSettings(), time.perf_counter()
    loaded = [load_tilt_series(folder / f"{name}.mrc", name=name) for name in "AB"]
    a, b = (process_series(series, settings) for series in loaded)
    alone_s = time.perf_counter() - before_s
    fused = combine_series(a, b, settings)
    found = {
        "fused": fused.detection.table.centres_nm,
        "A": a.detection.table.centres_nm,
        "B": fused.table_b.centres_nm,
    }
    wall_s, cpu_s = time.perf_counter() - before_s, time.process_time()
    truth = read_truth(folder)
    scores = score_tables(truth, found).tables
    count, rms_nm = fused.detection.count, scores["fused"].rms_nm
    return {
        "wall s": round(wall_s, 1),
        "wall s without fusion": round(alone_s, 1),
        "CPU s": round(cpu_s, 1),
        "peak GB": round(_peak_GB(), 2),
        "bins": [one.summary.sampling and one.summary.sampling.bin for one in (a, b)],
        "count": [count.n, count.n_low, count.n_high],
        "verdict": count.verdict and count.verdict.state,
        "reasons": count.verdict and count.verdict.reasons,
        "truth": len(truth.centres_nm),
        "F1": scores["fused"].f1,
        "F1 of A and B": [scores["A"].f1, scores["B"].f1],
        "rms nm": rms_nm and [round(value, 3) for value in rms_nm],
    }


def _peak_GB() -> float:
    """Return the peak memory of this process; it starts with what its parent had, as RUSAGE."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kB = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak_kB) * 1024 / 1e9


if __name__ == "__main__":
    if len(sys.argv) == 3:
        for row in measured(int(sys.argv[1]), Path(sys.argv[2])):
            print(f"  {row.problem}: {row.shown(row.ours)}, limit {row.shown(row.theirs)}")
    else:
        print(json.dumps(_process(Path(sys.argv[1]))))
