"""Process that works on one series while this one works on another.

Nothing heavy is imported here, so that the process is started before this one loads its own.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Self, cast

from processing.errors import ProcessingError
from processing.parallel import THREADS_VARIABLE, worker_threads

if TYPE_CHECKING:
    from processing.device import DeviceName
    from processing.pipeline.series_search import SeriesResult
    from processing.pipeline.settings import ProcessSettings
    from processing.series import TiltSeries

FEWEST_CORES = 4
"""Fewest cores on which two series take less time side by side."""


class SeriesProcess:
    """Process that works on one series, used as a context, with which it ends.

    It loads its libraries at once: it can be started before the series is read.

    Parameters
    ----------
    device
        Device of the settings that will be given.
    """

    def __init__(self, device: DeviceName) -> None:
        command = [sys.executable, "-m", "processing.pipeline.pair_child", device]
        found_here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=found_here)
        self._thread = ThreadPoolExecutor(1)

    def process(self, series: TiltSeries, settings: ProcessSettings) -> Future[SeriesResult]:
        """Process a series with as many threads as this process may use now."""
        threads = os.environ.get(THREADS_VARIABLE)
        return self._thread.submit(_exchange, self._child, series, settings, threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._thread.shutdown()
        with self._child:  # closes its pipes, and waits for its end
            pass


def many_cores() -> bool:
    """Return true if two series take less time side by side on this machine."""
    return worker_threads() >= FEWEST_CORES


def started_early(series: int, device: DeviceName) -> AbstractContextManager[SeriesProcess | None]:
    """Return a process for the second of two series, as a context; None if one will not be used."""
    return SeriesProcess(device) if series == 2 and many_cores() else nullcontext()


def _exchange(
    child: subprocess.Popen[bytes],
    series: TiltSeries,
    settings: ProcessSettings,
    threads: str | None,
) -> SeriesResult:
    assert child.stdin is not None and child.stdout is not None
    try:
        pickle.dump((series, settings, threads), child.stdin, pickle.HIGHEST_PROTOCOL)
        child.stdin.close()
        outcome = pickle.load(child.stdout)
    except (OSError, EOFError) as error:
        with suppress(OSError):
            child.stdin.close()  # what was not sent must not be sent again
        raise ProcessingError(
            f"series {series.name}: its process ended (exit code {child.wait()}), perhaps for want "
            "of memory; lower the memory limit"
        ) from error
    if isinstance(outcome, BaseException):
        raise outcome
    return cast("SeriesResult", outcome)
