"""Processing of both series: side by side on a machine with more than two cores.

Python's interpreter lock lets one process use a few cores only. Series B is therefore processed in
a process of its own, which gets the series through a pipe and returns its result through another.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from processing.errors import ProcessingError
from processing.image_size import SMALL_SIDE_PX, volumes_GB
from processing.parallel import threads_for_two_processes, worker_threads
from processing.pipeline.memory import SINGLE_VOLUMES
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from processing.progress import Progress, silent, within
from processing.series import TiltSeries

FEWEST_CORES = 4
"""Fewest cores on which two series take less time side by side."""


def process_pair(
    a: TiltSeries, b: TiltSeries, settings: ProcessSettings, *, progress: Progress = silent
) -> Iterator[SeriesResult]:
    """Yield the result of A, then that of B.

    Raises
    ------
    ProcessingError
        As `process_series`; if B fails, A is yielded first.
    """
    if not _side_by_side(a, b, settings):
        yield process_series(a, settings, progress=within(progress, 0.0, 0.5))
        yield process_series(b, settings, progress=within(progress, 0.5, 1.0))
        return
    with threads_for_two_processes(), _in_child(b, settings) as result_b:
        yield process_series(a, settings, progress=within(progress, 0.0, 0.9))
        progress(f"series {b.name}", 0.9)
        yield result_b.result()
        progress(f"series {b.name}", 1.0)


def _side_by_side(a: TiltSeries, b: TiltSeries, settings: ProcessSettings) -> bool:
    """Return true if there are cores and memory for both series at a time."""
    rows, columns = (
        min(SMALL_SIDE_PX, max(one.images.shape[axis] for one in (a, b))) for axis in (1, 2)
    )
    needed_GB = volumes_GB(columns, rows, 2 * SINGLE_VOLUMES)
    return worker_threads() >= FEWEST_CORES and needed_GB <= settings.memory_limit_GB


@contextmanager
def _in_child(series: TiltSeries, settings: ProcessSettings) -> Iterator[Future[SeriesResult]]:
    """Process a series in a child process, which ends with this context."""
    command = [sys.executable, "-m", "processing.pipeline.pair_child"]
    pipe, found_here = subprocess.PIPE, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (
        subprocess.Popen(command, stdin=pipe, stdout=pipe, env=found_here) as child,
        ThreadPoolExecutor(1) as thread,
    ):
        try:
            yield thread.submit(_exchange, child, series, settings)
        finally:
            child.kill()


def _exchange(
    child: subprocess.Popen[bytes], series: TiltSeries, settings: ProcessSettings
) -> SeriesResult:
    assert child.stdin is not None and child.stdout is not None
    try:
        pickle.dump((series, settings), child.stdin, pickle.HIGHEST_PROTOCOL)
        child.stdin.close()
        outcome: Any = pickle.load(child.stdout)
    except (OSError, EOFError) as error:
        with suppress(OSError):
            child.stdin.close()  # what was not sent must not be sent again
        raise ProcessingError(
            f"series {series.name}: its process ended (exit code {child.wait()}), perhaps for want "
            "of memory; lower the memory limit"
        ) from error
    if isinstance(outcome, BaseException):
        raise outcome
    assert isinstance(outcome, SeriesResult)
    return outcome
