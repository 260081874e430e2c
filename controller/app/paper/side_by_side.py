"""Experiments in processes of their own, as many at a time as there are cores."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from controller.app.paper.experiments import Experiment
from controller.app.paper.outcome import Outcome
from controller.common.errors import ProcessingFailedError
from controller.common.python_command import python_module_command
from processing.parallel import limited_threads, worker_threads

if TYPE_CHECKING:
    from processing.progress import Progress

THREADS_PER_CORE = 2
"""Threads of all processes together, for each core: the last experiments use all cores."""
MOST_PROCESSES = 8
"""Largest number of processes; each needs 0.6 GB for one series, and more for two."""


@dataclass(frozen=True)
class Finished:
    """An experiment with its outcome, and the folder of its results."""

    experiment: Experiment
    folder: Path
    outcome: Outcome


def run_side_by_side(
    experiments: Sequence[Experiment], out: Path, kept: Experiment, progress: Progress
) -> Iterator[Finished]:
    """Run experiments in processes of their own; yield each as soon as it is finished.

    Parameters
    ----------
    out, kept
        The results of experiment `kept` stay in the folder `out`. Those of the others go when the
        next one is asked for.

    Raises
    ------
    ProcessingFailedError
        A process ended without an outcome.
    """
    processes = max(1, min(worker_threads(), len(experiments), MOST_PROCESSES))
    threads_each = min(worker_threads(), THREADS_PER_CORE * worker_threads() // processes)
    shown = _SharedProgress(len(experiments), progress)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        threads = stack.enter_context(ThreadPoolExecutor(processes))
        children = stack.enter_context(Children())
        stack.enter_context(limited_threads(threads_each))
        stack.callback(threads.shutdown, wait=False, cancel_futures=True)
        waiting = {}
        for number, each in enumerate(experiments):
            folder = out if each is kept else scratch / str(number)
            folder.mkdir(exist_ok=True)
            future = threads.submit(children.run, each, folder, shown.of(each.name))
            waiting[future] = each, folder
        for future in as_completed(waiting):
            experiment, folder = waiting[future]
            finished = Finished(experiment, folder, future.result())
            shown.of(experiment.name)(1.0)
            yield finished
            if experiment is not kept:
                shutil.rmtree(folder)


class Children:
    """Processes that run experiments, used as a context, with which they end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(self, experiment: Experiment, folder: Path, report: Callable[[float], None]) -> Outcome:
        """Run an experiment in a process of its own, and wait for its outcome."""
        name = "controller.app.paper.experiment_child"
        pipe = subprocess.PIPE
        with self._lock:
            if self._ended:
                raise ProcessingFailedError(f"experiment {experiment.name!r}: not begun")
            command = python_module_command(name, str(folder))
            child = subprocess.Popen(command, stdin=pipe, stdout=pipe)
            self._running.add(child)
        with child:
            outcome = _exchanged(child, experiment, report)
        with self._lock:
            self._running.discard(child)
        if outcome is None:
            raise ProcessingFailedError(
                f"experiment {experiment.name!r}: its process ended (exit code "
                f"{child.returncode}), perhaps for want of memory; the same command goes on with it"
            )
        return outcome

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._ended = True
            for child in self._running:
                child.kill()


def _exchanged(
    child: subprocess.Popen[bytes], experiment: Experiment, report: Callable[[float], None]
) -> Outcome | None:
    """Exchange an experiment for its outcome; None if the process ends without one."""
    assert child.stdin is not None and child.stdout is not None
    try:
        child.stdin.write(experiment.model_dump_json().encode())
        child.stdin.close()
    except OSError:
        return None
    for line in child.stdout:
        if line.startswith(b"{"):
            return Outcome.model_validate_json(line)
        report(json.loads(line))
    return None


class _SharedProgress:
    """Progress of several experiments as one."""

    def __init__(self, experiments: int, progress: Progress) -> None:
        self._experiments, self._progress = experiments, progress
        self._lock = threading.Lock()
        self._fractions: dict[str, float] = {}

    def of(self, name: str) -> Callable[[float], None]:
        """Return the callback of one experiment, which takes its done part."""

        def report(fraction: float) -> None:
            with self._lock:
                self._fractions[name] = fraction
                finished = sum(each >= 1 for each in self._fractions.values())
                running = len(self._fractions) - finished
                done = sum(self._fractions.values()) / self._experiments
                self._progress(f"experiments: {finished} finished, {running} running", done)

        return report
