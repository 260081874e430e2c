"""One processing child and its queue of tasks; the child is restarted if it dies or hangs.

The thread of a lane survives every error: one that prevents it from serving a child counts as a
death of that child, so that the task in progress is tried again and then given up.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from controller.model.events import Alerted, Level, Publish
from controller.worker.child_messages import REPLY, AnyTask, Ended, Published, Working
from processing.files.atomic import make_folder, open_plain
from processing.files.held_folder import reached_folder

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
    folder
        Folder of the session; the child is started in it, so that it works there even if the
        folder's path is exchanged.
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
        folder: Path,
        log: Path,
        publish: Publish,
        ended: OnEnded,
        given_up: OnGivenUp,
        silent_limit_s: float,
    ) -> None:
        self._command, self._folder = list(command), folder
        self._log, self._publish = log, publish
        self._ended, self._given_up, self._silent_limit_s = ended, given_up, silent_limit_s
        self._changed = threading.Condition()
        self._waiting: dict[str, AnyTask] = {}
        self._in_flight: _InFlight | None = None
        self._deaths: Counter[tuple[str, int | None]] = Counter()
        self._child: subprocess.Popen[str] | None = None
        self._closing = False
        self._listening_error = ""
        self.ended_by = ""
        """Error that has ended the thread of the lane; empty while it serves."""
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
        """Kill the child, even during a task, and even if it does not read its tasks."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._child is not None:
                self._child.kill()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            while not self._closing:
                cause = self._cause_of_end()
                if self._closing:
                    return
                self._requeue_or_give_up(cause)
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RESTART_PAUSE_S)
                    self._changed.wait_for(lambda: self._closing or bool(self._waiting))
        except Exception as error:  # noqa: BLE001 -- the session must not wait for this thread
            self.ended_by = _in_words(error)
            with contextlib.suppress(Exception):
                text = f"processing thread {self._thread.name} has ended: {self.ended_by}"
                self._publish(Alerted(level=Level.ALARM, text=text, where="processing"))

    def _cause_of_end(self) -> str:
        """Serve one child; return the cause of its death, or the error that prevented it."""
        try:
            return self._serve_one_child()
        except Exception as error:  # noqa: BLE001 -- counted as a death, retried, then given up
            if self._in_flight is None:
                self._start_next_task()
            return f"cannot be started: {_in_words(error)}"

    def _serve_one_child(self) -> str:
        """Start a child and give it tasks until it ends; return the cause of death."""
        child = self._start_child()
        try:
            self._child = child
            listener = threading.Thread(target=self._listen, args=(child,), daemon=True)
            listener.start()
            hung = self._feed(child)
            _end(child)
            listener.join()
        finally:
            _end(child)
            assert child.stdout is not None
            child.stdout.close()
        if self._listening_error:
            return self._listening_error
        return (
            f"ended because it was silent for {self._silent_limit_s:g} s"
            if hung
            else _cause_of_death(child.returncode)
        )

    def _start_child(self) -> subprocess.Popen[str]:
        self._listening_error = ""
        with self._open_log() as log, reached_folder(self._folder) as folder:
            return subprocess.Popen(
                self._command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
            )

    def _open_log(self) -> IO[bytes] | FileIO:
        """Open the log of the child; without room or rights for one, its messages are lost."""
        try:
            make_folder(self._log.parent)
            return open_plain(self._log, "ab")
        except OSError:
            return Path(os.devnull).open("wb")

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
        try:
            for line in child.stdout:
                try:
                    message = REPLY.validate_json(line)
                except ValidationError:
                    continue  # a line cut off by the death of the child
                self._take(message)
        except Exception as error:  # noqa: BLE001 -- a child that is not heard is started again
            self._listening_error = f"its messages cannot be taken: {_in_words(error)}"
            child.kill()
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
        if in_flight is None:
            self._publish_death(Level.INFO, cause, "for its next task")
            return
        if in_flight.abandoned:
            return
        task = in_flight.task
        blamed = (task.key, in_flight.section)
        self._deaths[blamed] += 1
        if self._deaths[blamed] > MAX_DEATHS:
            self._given_up(task, in_flight.section, cause)
            return
        self._publish_death(Level.WARNING, cause, f"for the same task, {task.key}")
        with self._changed:
            newer = self._waiting.pop(task.key, None)
            self._waiting = {task.key: newer or task, **self._waiting}

    def _publish_death(self, level: Level, cause: str, task: str) -> None:
        text = f"process {self._log.stem} has ended ({cause}); it is started again {task}"
        self._publish(Alerted(level=level, text=text, where="processing"))


def _send(child: subprocess.Popen[str], task: AnyTask) -> None:
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # the child just died: the task is queued again
        child.stdin.write(task.model_dump_json() + "\n")
        child.stdin.flush()


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _end(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdin is not None
    with contextlib.suppress(OSError):  # buffered bytes have no reader any more
        child.stdin.close()


def _cause_of_death(returncode: int) -> str:
    return f"ended by signal {-returncode}" if returncode < 0 else f"exit status {returncode}"
