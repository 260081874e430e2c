"""One processing child and its queue of tasks; the child is restarted if it dies or hangs."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from controller.model.events import Publish
from controller.worker.child_messages import REPLY, AnyTask, Ended, Published, Working

OnEnded = Callable[[AnyTask, Ended], None]
OnGivenUp = Callable[[AnyTask, int | None, str], None]
"""Called with a task that ended its child twice, the section in progress, the cause of death."""

MAX_DEATHS = 1
"""Deaths of the child on the same frame or job after which it is tried again.

One death may have another cause, such as a kill; a second one is blamed on the frame or job.
"""
RESTART_PAUSE_S = 0.2
POLL_S = 0.25


@dataclass
class _InFlight:
    """Task that the child works on."""

    task: AnyTask
    section: int | None = None
    heard_s: float = 0.0
    """Monotonic time of the last message."""
    abandoned: bool = False
    """True if the result is no longer needed; its child is being killed."""


class Lane:
    """Queue that gives tasks to a child, one at a time, and restarts the child when it dies.

    Parameters
    ----------
    command
        Command line of the child.
    log
        File for the stderr of the child.
    publish
        Receives the events of the child; must not block.
    ended, given_up
        Called on the thread of the lane when a task is over, or has ended the child twice.
    silent_limit_s
        Longest time without a message from a working child; then it is killed as hung.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        publish: Publish,
        ended: OnEnded,
        given_up: OnGivenUp,
        silent_limit_s: float,
    ) -> None:
        self._command, self._log, self._publish = list(command), log, publish
        self._ended, self._given_up, self._silent_limit_s = ended, given_up, silent_limit_s
        self._changed = threading.Condition()
        self._waiting: dict[str, AnyTask] = {}
        self._in_flight: _InFlight | None = None
        self._deaths: Counter[tuple[str, int | None]] = Counter()
        self._child: subprocess.Popen[str] | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"lane-{log.stem}", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Process id of the running child; None if there is none."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def add(self, task: AnyTask) -> None:
        """Queue a task; it replaces a waiting task with the same key."""
        with self._changed:
            self._waiting[task.key] = task
            self._changed.notify_all()

    def abandon(self, key: str) -> None:
        """Drop a task; a child that works on it is killed, and restarted for the next task."""
        with self._changed:
            self._waiting.pop(key, None)
            in_flight = self._in_flight
            if in_flight is not None and in_flight.task.key == key:
                in_flight.abandoned = True
                if self._child is not None:
                    self._child.kill()

    def close(self) -> None:
        """Kill the child, even during a task."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._closing:
            cause = self._serve_one_child()
            if self._closing:
                return
            self._requeue_or_give_up(cause)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, RESTART_PAUSE_S)
                self._changed.wait_for(lambda: self._closing or bool(self._waiting))

    def _serve_one_child(self) -> str:
        """Start a child and give it tasks until it ends; return the cause of death."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("a", encoding="utf-8") as log:
            try:
                child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    encoding="utf-8",
                    creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
                )
            except OSError as error:
                self._start_next_task()
                return f"cannot be started: {error}"
        self._child = child
        listener = threading.Thread(target=self._listen, args=(child,), daemon=True)
        listener.start()
        hung = self._feed(child)
        _end(child)
        listener.join()
        assert child.stdout is not None
        child.stdout.close()
        return (
            f"no message for {self._silent_limit_s:g} s"
            if hung
            else _cause_of_death(child.returncode)
        )

    def _feed(self, child: subprocess.Popen[str]) -> bool:
        """Send tasks until the child ends (False) or hangs (True)."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._has_work_or_ended(child), POLL_S)
                if self._closing or child.poll() is not None:
                    return False
                if self._in_flight is not None:
                    if time.monotonic() - self._in_flight.heard_s > self._silent_limit_s:
                        return True
                    continue
                task = self._start_next_task()
            if task is not None:
                _send(child, task)

    def _start_next_task(self) -> AnyTask | None:
        with self._changed:
            if not self._waiting:
                return None
            task = self._waiting.pop(next(iter(self._waiting)))
            self._in_flight = _InFlight(task, heard_s=time.monotonic())
            return task

    def _has_work_or_ended(self, child: subprocess.Popen[str]) -> bool:
        idle = self._in_flight is None and bool(self._waiting)
        return self._closing or idle or child.poll() is not None

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            try:
                message = REPLY.validate_json(line)
            except ValidationError:
                continue  # a line cut off by the death of the child
            self._take(message)
        with self._changed:
            self._changed.notify_all()

    def _take(self, message: Working | Published | Ended) -> None:
        with self._changed:
            in_flight = self._in_flight
            if in_flight is None or in_flight.abandoned:
                return
            in_flight.heard_s = time.monotonic()
        match message:
            case Working():
                in_flight.section = message.section
            case Published():
                self._publish(message.event)
            case Ended():
                self._ended(in_flight.task, message)
                with self._changed:
                    self._in_flight = None
                    self._deaths.clear()  # earlier deaths had another cause
                    self._changed.notify_all()

    def _requeue_or_give_up(self, cause: str) -> None:
        """Put the task in progress at the front of the queue, or give it up after two deaths."""
        with self._changed:
            in_flight, self._in_flight = self._in_flight, None
        if in_flight is None or in_flight.abandoned:
            return
        task = in_flight.task
        blamed = (task.key, in_flight.section)
        self._deaths[blamed] += 1
        if self._deaths[blamed] > MAX_DEATHS:
            self._given_up(task, in_flight.section, cause)
            return
        with self._changed:
            newer = self._waiting.pop(task.key, None)
            self._waiting = {task.key: newer or task, **self._waiting}


def _send(child: subprocess.Popen[str], task: AnyTask) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # the child just died: the task is queued again
        child.stdin.write(task.model_dump_json() + "\n")
        child.stdin.flush()


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # buffered bytes have no reader any more
        child.stdin.close()


def _cause_of_death(returncode: int) -> str:
    return f"ended by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
