"""Wait for the workers of a cluster, but not longer than the operator wants."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from distributed import Client

from processing.errors import NoWorkersError, SchedulerLostError

POLL_S = 1.0
"""Time between two questions to the scheduler while no session ends."""
LOST = "scheduler lost; start it and its workers, then the same command continues"
SAID_AFTER_S = 5.0
"""Time without a worker after which the operator is told."""


def _say_nothing(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Patience:
    """Longest time without a worker, and what the operator reads meanwhile."""

    limit_s: float = 300.0
    """Longest time; 0 for no limit."""
    advice: str = "start a worker"
    """Action that brings a worker."""
    say: Callable[[str], None] = _say_nothing
    """Callback that shows one line to the operator."""


DEFAULT_PATIENCE = Patience()


@dataclass
class WorkerWatch:
    """Time since a cluster has no worker."""

    patience: Patience
    clock_s: Callable[[], float] = time.monotonic
    _empty_since_s: float | None = field(default=None, init=False)
    _said: bool = field(default=False, init=False)

    def note(self, workers: int) -> None:
        """Note the number of workers that the cluster has now.

        Raises
        ------
        NoWorkersError
            It has had none for longer than the limit.
        """
        if workers:
            self._empty_since_s, self._said = None, False
            return
        now_s = self.clock_s()
        if self._empty_since_s is None:
            self._empty_since_s = now_s
        waited_s = now_s - self._empty_since_s
        limit_s = self.patience.limit_s
        if 0 < limit_s <= waited_s:
            raise NoWorkersError(f"no worker for {limit_s:g} s; {self.patience.advice}")
        if not self._said and waited_s >= SAID_AFTER_S:
            self._said = True
            until = f"; gives up after {limit_s:g} s (--wait-s)" if limit_s else ""
            self.patience.say(f"waits for a worker: {self.patience.advice}{until}")


def wait_for_first(client: Client, watch: WorkerWatch) -> None:
    """Return when the cluster has a worker.

    Raises
    ------
    NoWorkersError, SchedulerLostError
        None comes in time, or the scheduler is gone.
    """
    while not (workers := worker_count(client)):
        watch.note(workers)
        time.sleep(POLL_S)


def worker_count(client: Client) -> int:
    """Return the number of workers of the cluster.

    Raises
    ------
    SchedulerLostError
        The scheduler does not answer.
    """
    try:
        return len(client.nthreads())
    except OSError as error:
        raise SchedulerLostError(LOST) from error
