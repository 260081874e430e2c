"""A disk that does not answer: another thread says so, and the session continues when it does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine, disk_alarm
from controller.model.commands import StopWhen
from controller.model.events import (
    Alerted,
    Event,
    Level,
    OperatorState,
    Record,
    State,
    StateChanged,
)
from controller.service.notify import message_of
from controller.service.session_server import SessionService
from controller.service.session_status import SessionStatus
from controller.session import disk_calls
from tests.support.shims.operations import hooked
from tests.support.small_session import Run, open_session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shims read /proc")

LONGEST_S = 60.0
"""Longest wait for a thread; no test comes near it."""


@dataclass
class SilentDisk:
    """Hook that holds one operation on one file until `answers` is set; then 23 s have passed."""

    kind: str = "sync"
    file: str = "A.mrc"
    number: int = 6
    answers: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    clock_s: float = 0.0

    def __call__(self, kind: str, name: str) -> int | None:
        if (kind, Path(name).name) == (self.kind, self.file):
            self.seen += 1
            if self.seen == self.number:
                self.clock_s += 23.0
                assert self.answers.wait(LONGEST_S), "nobody noticed"
        return None


@pytest.fixture(autouse=True)
def disk(monkeypatch: pytest.MonkeyPatch) -> SilentDisk:
    """Return the hook, whose clock is that of the alarm."""
    disk = SilentDisk()
    monkeypatch.setattr(disk_calls, "monotonic", lambda: disk.clock_s)
    monkeypatch.setattr(disk_alarm, "CHECK_INTERVAL_S", 0.01)
    return disk


def run_with(disk: SilentDisk, run: Run, when_silent: Callable[[Engine], None]) -> ExitCode:
    """Run a session; call `when_silent` once the beam was blanked for the silent disk."""
    actions: list[Callable[[Engine], None]] = []

    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, Alerted) and event.text.startswith("disk does not answer"):
            actions.append(when_silent)
            run.microscope.log.clear()
        if event.kind == "beam-changed" and actions:
            actions.pop()(engine)
            disk.answers.set()

    run.on_event = look
    watch = run.engine.watch_disk()
    try:
        with hooked(disk):
            return run.go()
    finally:
        watch.close()


SILENT = [
    ("sync", "A.mrc", 6),
    ("write", "journal.jsonl", 20),
    ("rename", "A.mrc.mdoc", 2),
]


@pytest.mark.parametrize(("kind", "file", "number"), SILENT, ids=[f"{k} {f}" for k, f, _ in SILENT])
def test_a_disk_that_does_not_answer_is_said_and_waited_for(
    tmp_path: Path, disk: SilentDisk, kind: str, file: str, number: int
) -> None:
    disk.kind, disk.file, disk.number = kind, file, number
    run = Run(open_session(tmp_path / "s"))

    def look(engine: Engine) -> None:
        assert run.microscope.blanked
        assert ("blank", "") in run.microscope.log
        with pytest.raises(UsageError, match="the disk does not answer"):
            engine.go_on()

    assert run_with(disk, run, look) is ExitCode.OK
    alarms = [event.text for event in run.of(Alerted) if event.level is Level.ALARM]
    assert len(alarms) == 1
    assert f"{tmp_path / 's'}, since 23 s" in alarms[0]
    pause = next(e for e in run.of(StateChanged) if e.state is State.PAUSED)
    assert pause.reason == alarms[0]
    after = run.of(StateChanged)[run.of(StateChanged).index(pause) + 1]
    assert after.state is State.RUNNING
    assert "answers again" in after.reason
    assert len((tmp_path / "s" / "A.rawtlt").read_text().split()) == 5


def test_a_stop_while_the_disk_does_not_answer_makes_the_column_safe_at_once(
    tmp_path: Path, disk: SilentDisk
) -> None:
    run = Run(open_session(tmp_path / "s"))

    def stop(engine: Engine) -> None:
        engine.stop(StopWhen.NOW)
        for thread in engine._aborts:
            thread.join(LONGEST_S)
        assert ("make-safe", "stopped by the operator") in run.microscope.log

    assert run_with(disk, run, stop) is ExitCode.INTERRUPTED
    again = Run(open_session(tmp_path / "s"), run.microscope)
    assert again.go() is ExitCode.OK


def test_the_alarm_reaches_screens_and_messages_while_the_log_cannot_be_written(
    tmp_path: Path,
) -> None:
    answers, notified = threading.Event(), threading.Event()
    messages: list[str] = []

    def silent(record: Record) -> None:
        answers.wait(LONGEST_S)

    def listen(record: Record, status: SessionStatus) -> None:
        message = message_of(record, status, "s", str(tmp_path))
        messages.extend([message.subject] if message else [])
        notified.set()

    service = SessionService(tmp_path, silent)
    service.listeners.append(listen)
    service.publish(StateChanged(state=State.RUNNING))
    notified.wait(LONGEST_S)
    notified.clear()
    reason = "disk does not answer: /data, since 10 s"
    service.publish(Alerted(level=Level.ALARM, text=reason, where="disk"))
    assert notified.wait(LONGEST_S)
    status = service.store.status
    assert (status.operator_state, status.operator_reason) == (OperatorState.STOP_NOW, reason)
    assert messages == ["dualtilt s: STOP NOW: alarm"]
    answers.set()
    service.close(ExitCode.OK)
