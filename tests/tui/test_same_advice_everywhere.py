"""The same advice to the operator on the screen, in text, log, messages and status.json."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from controller.common.exit_codes import ExitCode
from controller.model.events import (
    Event,
    PauseCause,
    ProcessingFailed,
    PromptOpened,
    Record,
    State,
    StateChanged,
)
from controller.service.notify import Message, message_of
from controller.service.session_status import SessionStatus
from controller.ui.headless import follow
from controller.ui.tui.session_app import SessionApp
from tests.service.test_headless import Terminal, log_to
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine
from tests.support.status_events import frame, judged
from tests.tui.sessions import until_shown
from tests.tui.support import drive, lines


@dataclass(frozen=True)
class Case:
    name: str
    events: tuple[Event, ...]
    advice: str
    sign: str
    reason: str


CASES = (
    Case("good", (), "GOOD", "✓", ""),
    Case(
        "a prompt",
        (PromptOpened(prompt=script.FLIP_PROMPT),),
        "YOUR TURN",
        "?",
        script.FLIP_PROMPT.title,
    ),
    Case(
        "a pause",
        (StateChanged(state=State.PAUSED, reason="valves closed"),),
        "YOUR TURN",
        "?",
        "valves closed",
    ),
    Case(
        "a pause that ends by itself",
        (StateChanged(state=State.PAUSED, reason="no beam", pause_cause=PauseCause.PASSING),),
        "WAIT",
        "…",
        "no beam",
    ),
    Case(
        "failed processing",
        (ProcessingFailed(job="A", reason="no memory"),),
        "STOP AT END",
        "▲",
        "processing A failed: no memory",
    ),
    Case(
        "large residuals, an event that short lists leave out",
        (*(frame(i) for i in range(11)), *(judged(i, 1.5) for i in range(11))),
        "STOP AT END",
        "▲",
        "live residual above 1 px for 3 tilts: look at these frames",
    ),
    Case(
        "a failed session",
        (StateChanged(state=State.FAILED, reason="vacuum"),),
        "STOP NOW",
        "■",
        "vacuum",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_same_advice_everywhere(
    case: Case,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    messages: list[Message | None] = []

    def notify(record: Record, status: SessionStatus) -> None:
        messages.append(message_of(record, status, "au", str(tmp_path)))

    service = log_to(tmp_path)
    service.listeners.append(notify)
    service.serve(RecordingEngine())
    for event in (script.started(tmp_path), *script.preflight(), *case.events):
        service.publish(event)
    service.flush()
    is_new = case.advice != "GOOD"

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, f"{case.sign} {case.advice}")
        assert lines(app)[-3].rstrip().endswith(f"{case.sign} {case.advice}")
        assert case.reason in "".join(lines(app)[-3:-1])
        await pilot.press("l")
        await until_shown(app, pilot, f"[{case.advice}]" if is_new else "event log")

    drive(body, SessionApp(tmp_path, read_only=True))
    service.close(ExitCode.OK)

    plain, terminal = io.StringIO(), Terminal()
    follow(tmp_path, threading.Event(), plain)
    follow(tmp_path, threading.Event(), terminal)
    for text in (plain.getvalue(), terminal.getvalue()):
        assert (f"[{case.advice}]" in text) == is_new
    assert case.reason in plain.getvalue()
    assert ": ".join(filter(None, (f"{case.sign} {case.advice}", case.reason))) in (
        terminal.getvalue()
    )
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["operator_state"], status["operator_reason"]) == (case.advice, case.reason)
    subjects = [message.subject for message in messages if message is not None]
    assert [subject.startswith(f"dualtilt au: {case.advice}") for subject in subjects] == (
        [True] if is_new else []
    )
