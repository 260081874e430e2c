"""Costs of a batch for each session and each byte: `python -m tests.benchmarks.batch_costs`.

The figures of docs/scaling.md: pairs of several sizes on one thread, the tasks of Dask alone, and
the check of sessions that are complete. Two minutes of CPU time on one core.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from processing import write_images
from processing.batch import cluster
from processing.batch.process_session import SessionTask, State, process_session
from processing.batch.run_batch import run_batch
from processing.files.rawtlt import write_rawtlt
from processing.parallel import limited_threads
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.settings import ProcessSettings
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 71.0, 5.0)
SIZES_PX = (48, 72, 96, 128)
COMPLETE_SESSIONS = 1000
SETTINGS = ProcessSettings(diameter_nm=6.3)


def write_pair(folder: Path, size_px: int) -> int:
    """Write a pair whose assembly fills two thirds of the field; return its particles."""
    points = packed(size_px / 3, 8.6, order="fcc", seed=3) + np.array([1.0, -0.8, 0.5])
    points = points + np.random.default_rng(3).normal(0, 0.2, points.shape)
    points = points[points[:, 2] < 0.7 * size_px / 3]
    folder.mkdir()
    for name, seen in (("A", points), ("B", points * [1, -1, -1])):
        taken = jittered(len(ANGLES), jitter_px=0.5, angle_error_deg=0.05, counts=500, seed=1)
        series = tilt_series(seen, ANGLES, 7.0, size_px, taken)
        write_images(folder / f"{name}.mrc", series.images, 0.9)
        write_rawtlt(folder / f"{name}.rawtlt", ANGLES)
    return len(points)


def processed_once(session: Path) -> tuple[str, float, float]:
    """Return count and verdict, CPU time (s) and the growth of the memory (GB) of one session."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    with limited_threads(1):
        outcome = process_session(SessionTask(session, SETTINGS, GivenFacts(), again=False))
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    counts = outcome.counts
    found = f"{counts.fused.n} {outcome.verdict}" if counts and counts.fused else outcome.reason
    return found, spent_s, after.ru_maxrss / 1e6


def tree_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure_sizes(root: Path) -> None:
    """Print one row for each size."""
    print("px   tilts  particles  found            in MB  out MB  CPU s  peak GB")
    for size_px in SIZES_PX:
        session = root / f"pair-{size_px}"
        particles = write_pair(session, size_px)
        read = tree_bytes(session)
        with multiprocessing.get_context("spawn").Pool(1) as child:
            found, spent_s, peak_GB = child.apply(processed_once, (session,))
        written = tree_bytes(session) - read
        print(
            f"{size_px:<4} 2x{len(ANGLES):<4} {particles:<10} {found:<16} {read / 1e6:5.1f}  "
            f"{written / 1e6:6.1f}  {spent_s:5.1f}  {peak_GB:5.2f}",
            flush=True,
        )


def measure_complete(root: Path) -> None:
    """Print the time of a batch whose sessions are all complete."""
    complete = root / f"pair-{SIZES_PX[0]}"
    tasks = []
    for number in range(COMPLETE_SESSIONS):
        session = root / f"complete-{number}"
        shutil.copytree(complete, session)  # copy2 keeps the times of the files
        tasks.append(SessionTask(session, SETTINGS, GivenFacts(), again=False))
    started_s = time.process_time()
    with cluster.local_cluster(cluster.ClusterSize(workers=2, cores=1, memory_GB=4)) as client:
        opened_s = time.process_time()
        wall_s = time.monotonic()
        states = [outcome.state for outcome in run_batch(client, tasks, retries=0)]
        wall_s, spent_s = time.monotonic() - wall_s, time.process_time() - opened_s
    assert set(states) == {State.KEPT}
    print(f"start of the cluster: {opened_s - started_s:.1f} s CPU in the batch's process")
    print(
        f"{len(states)} complete sessions: {1e3 * wall_s / len(states):.1f} ms each, "
        f"{1e3 * spent_s / len(states):.1f} ms CPU each in the batch's process with its scheduler"
    )


def main() -> None:
    """Measure and print."""
    root = Path(tempfile.mkdtemp(prefix="batch-costs-"))
    try:
        measure_sizes(root)
        measure_complete(root)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    sys.exit(main())
