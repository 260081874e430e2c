"""One processing child and the tasks that wait for it: through crashes, hangs and kills."""

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
from controller.worker.messages import REPORT, AnyTask, Ended, Said, Working

OnEnded = Callable[[AnyTask, Ended], None]
OnKiller = Callable[[AnyTask, int | None, str], None]
"""Called with a task that killed its child twice, the section in progress, the cause of death."""

DEATHS_ALLOWED = 1
"""A frame or job may die with the child once, by somebody else's fault; twice is its own."""
RESTART_PAUSE_S = 0.2
POLL_S = 0.25


@dataclass
class _InFlight:
    task: AnyTask
    section: int | None = None
    heard_s: float = 0.0
    abandoned: bool = False
    """Nobody wants its result any more: its child is being ended."""


class Lane:
    """OperatorAction tasks to a child, one at a time, and starts the child again when it dies.

    Parameters
    ----------
    command
        Command line of the child.
    log
        File that takes what the child says on stderr.
    publish
        Takes the child's events; must not block.
    ended, killer
        Told on the lane's own thread when a task is over, and when one has killed the child twice.
    silent_limit_s
        A child that works and says nothing for so long is taken for hung and killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        publish: Publish,
        ended: OnEnded,
        killer: OnKiller,
        silent_limit_s: float,
    ) -> None:
        self._command, self._log, self._publish = list(command), log, publish
        self._ended, self._killer, self._silent_limit_s = ended, killer, silent_limit_s
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
        """Of the child that runs now."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def add(self, task: AnyTask) -> None:
        """Queue a task; one of the same key that still waits is replaced."""
        with self._changed:
            self._waiting[task.key] = task
            self._changed.notify_all()

    def abandon(self, key: str) -> None:
        """Drop a task; the child that works on it is ended, and started again for the next task."""
        with self._changed:
            self._waiting.pop(key, None)
            in_flight = self._in_flight
            if in_flight is not None and in_flight.task.key == key:
                in_flight.abandoned = True
                if self._child is not None:
                    self._child.kill()

    def close(self) -> None:
        """End the child, whatever it does."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._closing:
            how = self._serve_one_child()
            if self._closing:
                return
            self._after_death(how)
            with self._changed:
                self._changed.wait_for(lambda: self._closing, RESTART_PAUSE_S)
                self._changed.wait_for(lambda: self._closing or bool(self._waiting))

    def _serve_one_child(self) -> str:
        """Start a child and feed it until it ends; say how it ended."""
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
                self._take_up_next()
                return f"cannot be started: {error}"
        self._child = child
        listener = threading.Thread(target=self._listen, args=(child,), daemon=True)
        listener.start()
        hung = self._feed(child)
        _end(child)
        listener.join()
        assert child.stdout is not None
        child.stdout.close()
        return f"said nothing for {self._silent_limit_s:g} s" if hung else _cause(child.returncode)

    def _feed(self, child: subprocess.Popen[str]) -> bool:
        """Send tasks until the child ends (False) or hangs (True)."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._something_to_do(child), POLL_S)
                if self._closing or child.poll() is not None:
                    return False
                if self._in_flight is not None:
                    if time.monotonic() - self._in_flight.heard_s > self._silent_limit_s:
                        return True
                    continue
                task = self._take_up_next()
            if task is not None:
                _send(child, task)

    def _take_up_next(self) -> AnyTask | None:
        with self._changed:
            if not self._waiting:
                return None
            task = self._waiting.pop(next(iter(self._waiting)))
            self._in_flight = _InFlight(task, heard_s=time.monotonic())
            return task

    def _something_to_do(self, child: subprocess.Popen[str]) -> bool:
        idle = self._in_flight is None and bool(self._waiting)
        return self._closing or idle or child.poll() is not None

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            try:
                message = REPORT.validate_json(line)
            except ValidationError:
                continue  # a line cut by the child's death
            self._take(message)
        with self._changed:
            self._changed.notify_all()

    def _take(self, message: Working | Said | Ended) -> None:
        with self._changed:
            in_flight = self._in_flight
            if in_flight is None or in_flight.abandoned:
                return
            in_flight.heard_s = time.monotonic()
        match message:
            case Working():
                in_flight.section = message.section
            case Said():
                self._publish(message.event)
            case Ended():
                self._ended(in_flight.task, message)
                with self._changed:
                    self._in_flight = None
                    self._deaths.clear()  # what it went through was somebody else's doing
                    self._changed.notify_all()

    def _after_death(self, how: str) -> None:
        """Put the task the child died of back to the front, or give it up."""
        with self._changed:
            in_flight, self._in_flight = self._in_flight, None
        if in_flight is None or in_flight.abandoned:
            return
        task = in_flight.task
        blamed = (task.key, in_flight.section)
        self._deaths[blamed] += 1
        if self._deaths[blamed] > DEATHS_ALLOWED:
            self._killer(task, in_flight.section, how)
            return
        with self._changed:
            newer = self._waiting.pop(task.key, None)
            self._waiting = {task.key: newer or task, **self._waiting}


def _send(child: subprocess.Popen[str], task: AnyTask) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # it died this moment: `_after_death` puts the task back
        child.stdin.write(task.model_dump_json() + "\n")
        child.stdin.flush()


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # what was still buffered has no reader any more
        child.stdin.close()


def _cause(returncode: int) -> str:
    return f"ended by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
