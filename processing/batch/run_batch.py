"""Process sessions on the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from uuid import uuid4

from distributed import Client, Future, KilledWorker, get_worker
from distributed.client import ClosedClientError

from processing.batch.cluster import host_of, require_one_task_each, sessions_by_host
from processing.batch.process_session import SessionOutcome, SessionTask, State, process_session
from processing.batch.worker_watch import (
    DEFAULT_PATIENCE,
    LOST,
    POLL_S,
    Patience,
    WorkerWatch,
    wait_for_first,
    worker_count,
)
from processing.errors import NoWorkersError, SchedulerLostError
from processing.parallel import THREADS_VARIABLE, usable_cores
from processing.progress import Progress

TOPIC = "dualtilt-progress"
"""Topic of Dask's events that carry the progress of the sessions."""

OnProgress = Callable[[str, str, float], None]
"""Callback that receives session, stage and fraction done."""


@dataclass(frozen=True)
class WorkerShare:
    """Cores that one session may use on its worker."""

    sessions_by_host: Mapping[str, int]
    """Number of sessions that each known machine processes at a time."""
    cores: int | None = None
    """Cores that were asked for each worker; None for an equal part of the machine."""

    def threads(self, address: str) -> int:
        """Return the number of threads of a session on the worker with this address."""
        part = usable_cores() // self.sessions_by_host.get(host_of(address), 1)
        return max(1, part if self.cores is None else min(self.cores, part))


def run_batch(
    client: Client,
    tasks: Sequence[SessionTask],
    *,
    retries: int,
    cores: int | None = None,
    on_progress: OnProgress | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> Iterator[SessionOutcome]:
    """Yield the outcome of each session when it ends, in any order.

    Sessions that still wait are cancelled when the caller stops early; those that a worker has
    begun end there. If the scheduler is lost, or all workers, the sessions left are failed.

    Parameters
    ----------
    retries
        Number of further attempts after an unexpected error. A worker that dies is not an error
        of a session until several have died of it, also when it is processed alone.
    cores
        Cores that each worker may use; None for an equal part of its machine.

    Raises
    ------
    ClusterError
        No worker comes in time, or one processes several tasks at a time; nothing was processed.
    """
    watch = WorkerWatch(patience)
    wait_for_first(client, watch)
    require_one_task_each(client)
    share = WorkerShare(sessions_by_host(client), cores)
    left = {task.session: task for task in tasks}
    if on_progress is not None:
        client.subscribe_topic(TOPIC, _handler(on_progress))
    try:
        for outcome in _outcomes(client, tasks, share, retries, watch):
            del left[outcome.session]
            yield outcome
    except (NoWorkersError, SchedulerLostError) as error:
        patience.say(f"{error}; {len(left)} of {len(tasks)} sessions left")
        for session in left:
            yield SessionOutcome(session, State.FAILED, reason=str(error))
    finally:
        if on_progress is not None:
            with suppress(ClosedClientError):  # the scheduler was lost
                client.unsubscribe_topic(TOPIC)


def _outcomes(
    client: Client,
    tasks: Sequence[SessionTask],
    share: WorkerShare,
    retries: int,
    watch: WorkerWatch,
) -> Iterator[SessionOutcome]:
    """Yield the outcome of each session; try those again, alone, whose workers died."""
    killed = []
    for task, future in _each_ended(client, tasks, share, retries, watch):
        if isinstance(future.exception(), KilledWorker):
            killed.append(task)
        else:
            yield _outcome(task, future)
    # the death of a worker counts against the sessions that waited there, too
    for task in killed:
        for _, future in _each_ended(client, [task], share, retries, watch):
            yield _outcome(task, future)


def _each_ended(
    client: Client,
    tasks: Sequence[SessionTask],
    share: WorkerShare,
    retries: int,
    watch: WorkerWatch,
) -> Iterator[tuple[SessionTask, Future[SessionOutcome]]]:
    """Yield each session with its result when it ends; cancel the others when stopped early.

    Raises
    ------
    NoWorkersError, SchedulerLostError
        The sessions left cannot be processed.
    """
    ended: SimpleQueue[Future[SessionOutcome]] = SimpleQueue()
    group = f"session-{uuid4().hex}"  # one name for all: Dask then gives a worker one at a time
    futures = {
        client.submit(
            process_on_worker,
            task,
            share,
            retries=retries,
            pure=False,
            key=(group, number, task.session.name),
        ): task
        for number, task in enumerate(tasks)
    }
    try:
        for future in futures:
            future.add_done_callback(ended.put)
        while futures:
            future = _next_ended(client, ended, watch)
            yield futures.pop(future), future
            future.release()
    finally:
        if futures:
            client.cancel(list(futures), force=True)


def _next_ended(
    client: Client, ended: SimpleQueue[Future[SessionOutcome]], watch: WorkerWatch
) -> Future[SessionOutcome]:
    """Return the next session that has ended.

    Raises
    ------
    NoWorkersError, SchedulerLostError
        None will end.
    """
    while True:
        try:
            future = ended.get(timeout=POLL_S)
        except Empty:
            watch.note(worker_count(client))
        else:
            if future.cancelled():  # Dask cancels all when the connection is lost
                raise SchedulerLostError(LOST)
            return future


def process_on_worker(task: SessionTask, share: WorkerShare) -> SessionOutcome:
    """Process one session on a worker of Dask with the threads that it may use."""
    worker = get_worker()
    os.environ[THREADS_VARIABLE] = str(share.threads(worker.address))
    return process_session(task, _stages(task, worker.log_event))


def _stages(task: SessionTask, log_event: Callable[[str, object], None]) -> Progress:
    """Return a callback that reports each new stage: thousands of sessions share a scheduler."""
    latest = ""

    def report(stage: str, fraction: float) -> None:
        nonlocal latest
        if stage != latest:
            latest = stage
            log_event(TOPIC, [str(task.session), stage, float(fraction)])

    return report


def _handler(on_progress: OnProgress) -> Callable[[tuple[float, list[object]]], None]:
    def handle(event: tuple[float, list[object]]) -> None:
        session, stage, fraction = event[1]
        on_progress(str(session), str(stage), float(str(fraction)))

    return handle


def _outcome(task: SessionTask, future: Future[SessionOutcome]) -> SessionOutcome:
    """Return the outcome of a session that has ended.

    Raises
    ------
    SchedulerLostError
        The scheduler was lost before it gave the outcome.
    """
    error = future.exception()
    if isinstance(error, CancelledError):
        raise SchedulerLostError(LOST)
    if error is None:
        try:
            return future.result()
        except (OSError, CancelledError) as lost:
            raise SchedulerLostError(LOST) from lost
    return SessionOutcome(task.session, State.FAILED, reason=_reason(error))


def _reason(error: BaseException) -> str:
    if isinstance(error, KilledWorker):
        return (
            f"{error.allowed_failures + 1} workers died of this session, perhaps for want of "
            "memory; use fewer workers or a lower --memory-limit-GB"
        )
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
