"""What the operator does on the screen reaches the session; a real service in between."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from textual.pilot import Pilot

from controller.commands import Answer, StopWhen
from controller.events import (
    Event,
    PauseAsked,
    Prompt,
    PromptAnswered,
    PromptOpened,
    State,
    StateChanged,
)
from controller.exit_codes import ExitCode
from controller.service.server import SessionService
from controller.tui import dialogs
from controller.tui.app import SessionApp
from tests.support import scripted_session as script
from tests.support.noting_engine import NotingEngine
from tests.tui.support import drive, shown


@dataclass
class Session:
    folder: Path
    service: SessionService
    engine: NotingEngine

    def publish(self, *events: Event) -> None:
        for event in events:
            self.service.publish(event)

    def app(self, *, read_only: bool = False) -> SessionApp:
        return SessionApp(self.folder, read_only=read_only)


@pytest.fixture
def session(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    service = SessionService(tmp_path, lambda record: None)
    engine = NotingEngine()
    service.serve(engine)
    session = Session(tmp_path, service, engine)
    session.publish(script.started(tmp_path), *script.preflight(), *script.series("A", 5))
    yield session
    service.close(ExitCode.OK)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something another thread does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        await asyncio.sleep(0.02)


async def until_shown(app: SessionApp, pilot: Pilot[None], text: str) -> None:
    await until(lambda: text in shown(app))
    await pilot.pause()


FLIP = tuple(script.flip())
REFUSED = (*FLIP, *script.flip_refused())
LISTENING = "wait:600"
"""A prompt takes no answer in its first moment."""


@dataclass(frozen=True)
class Case:
    """Keys pressed on a session, and what the engine then has been told."""

    name: str
    events: tuple[Event, ...]
    first_seen: str
    keys: tuple[str, ...]
    told: tuple[object, ...]


CASES = (
    Case("pause", (), "5/73", ("space",), ("pause",)),
    Case(
        "go on",
        (StateChanged(state=State.PAUSED, reason="asked"),),
        "paused: asked",
        ("space",),
        ("go on",),
    ),
    Case(
        "take back a pause that waits for the step under way",
        (PauseAsked(waiting=True),),
        "running · pausing after the step under way",
        ("space",),
        ("go on",),
    ),
    Case("stop after the tilt", (), "5/73", ("x", "enter"), (StopWhen.AFTER_TILT,)),
    Case("record the last tilt again", (), "5/73", ("r", "enter"), (("retake", 1),)),
    Case(
        "record the last three again", (), "5/73", ("r", "down", "down", "enter"), (("retake", 3),)
    ),
    Case("stop now", (), "5/73", ("x", "down", "down", "enter"), (StopWhen.NOW,)),
    Case(
        "answer with the first choice",
        FLIP,
        "Retract the holder",
        (LISTENING, "enter"),
        (Answer(prompt_id="flip", value="done"),),
    ),
    Case(
        "answer with another choice",
        FLIP,
        "Retract the holder",
        (LISTENING, "down", "enter"),
        (Answer(prompt_id="flip", value="stop"),),
    ),
    Case(
        "answer later",
        FLIP,
        "Retract the holder",
        ("escape", "a", LISTENING, "enter"),
        (Answer(prompt_id="flip", value="done"),),
    ),
    Case(
        "override with a reason",
        REFUSED,
        "same side up",
        (LISTENING, "down", "down", "enter", *"seen", "enter"),
        (Answer(prompt_id="flip-check", value="override", reason="seen"),),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keys_reach_the_engine(session: Session, case: Case) -> None:
    session.publish(*case.events)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, case.first_seen)
        for key in case.keys:
            await pilot.press(key)
            await pilot.pause()
        await until(lambda: len(session.engine.told) >= len(case.told))
        assert tuple(session.engine.told) == case.told

    drive(body, session.app())


QUIET = {
    "an override without a reason": (
        REFUSED,
        "same side up",
        (LISTENING, "down", "down", "enter", "enter"),
    ),
    "a prompt put off": (FLIP, "Retract the holder", ("escape",)),
    "a stop thought better of": ((), "5/73", ("x", "escape")),
    "a retake thought better of": ((), "5/73", ("r", "escape")),
    "a retake with no series under way": (FLIP, "Retract the holder", ("escape", "r", "enter")),
    "detaching": ((), "5/73", ("q",)),
}


@pytest.mark.parametrize(("events", "first_seen", "keys"), QUIET.values(), ids=QUIET)
def test_what_tells_the_engine_nothing(
    session: Session, events: tuple[Event, ...], first_seen: str, keys: tuple[str, ...]
) -> None:
    session.publish(*events)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, first_seen)
        await pilot.press(*keys)
        await pilot.pause(0.2)

    drive(body, session.app())
    assert session.engine.told == []


def test_a_read_only_screen_gives_no_commands(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "[ flip ]")
        text = shown(app)
        assert "read-only" in text and "Retract the holder" not in text
        assert "a answers" not in text and "dualtilt answer flip done" in text
        assert "Pause" not in text and "Stop" not in text and "Detach" in text
        await pilot.press("space", "x", "a", "enter")
        await pilot.pause(0.2)

    drive(body, session.app(read_only=True))
    assert session.engine.told == []


def test_a_prompt_answered_elsewhere_closes(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        session.publish(PromptAnswered(prompt_id="flip", value="done", by="demo"))
        await until(lambda: "Retract the holder" not in shown(app))
        session.publish(*FLIP)  # the same question again
        await until_shown(app, pilot, "Retract the holder")

    drive(body, session.app())


@dataclass(frozen=True)
class Over:
    """What lies over the main screen when a prompt opens, and the keys meant for it."""

    name: str
    opens: str
    seen: str
    keys: tuple[str, ...]
    told: tuple[object, ...] = ()


OVER = (
    Over("stop, thought better of", "x", "Stop the session", ("escape",)),
    Over("stop, chosen", "x", "Stop the session", ("enter",), (StopWhen.AFTER_TILT,)),
    Over("help", "question_mark", "leave the screen: the session goes on", ("q",)),
    Over("the log", "l", "event log", ("escape",)),
    Over("the palette", "ctrl+p", "Search for commands", ("escape",)),
)


@pytest.mark.parametrize("case", OVER, ids=lambda case: case.name)
def test_a_prompt_waits_until_what_is_open_is_closed(session: Session, case: Over) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press(case.opens)
        await until_shown(app, pilot, case.seen)
        session.publish(*FLIP)
        await until(lambda: app.status.prompt is not None)
        await pilot.pause()
        assert case.seen in shown(app) and "Retract the holder" not in shown(app)
        await pilot.press(*case.keys)
        await until_shown(app, pilot, "Retract the holder")
        await until(lambda: len(session.engine.told) >= len(case.told))

    drive(body, session.app())
    assert tuple(session.engine.told) == case.told


def test_a_prompt_answered_before_it_could_open_stays_away(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press("x")
        session.publish(*FLIP, PromptAnswered(prompt_id="flip", value="done", by="demo"))
        await until_shown(app, pilot, "[ flip ]")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert "Stop the session" not in shown(app) and "Retract the holder" not in shown(app)

    drive(body, session.app())


def test_a_prompt_put_off_from_the_log_stays_away(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        await pilot.press("escape", "l", "escape")
        await until_shown(app, pilot, "a answers")
        await pilot.pause(0.2)
        assert "Retract the holder" not in shown(app)

    drive(body, session.app())


def test_a_prompt_answered_elsewhere_leaves_what_lies_over_it(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        await pilot.press("ctrl+p")
        await until_shown(app, pilot, "Search for commands")
        session.publish(PromptAnswered(prompt_id="flip", value="done", by="demo"))
        await until(lambda: app.status.prompt is None)
        await pilot.pause()
        assert "Search for commands" in shown(app)
        await pilot.press("escape")
        await until(lambda: "Retract the holder" not in shown(app))

    drive(body, session.app())


@pytest.mark.parametrize("keys", [(), ("escape", "a")], ids=["by itself", "called back"])
def test_a_key_pressed_as_the_prompt_appears_answers_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    monkeypatch.setattr(dialogs, "DEAF_FOR_S", 60.0)  # however slow the machine
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        await pilot.press(*keys, "enter")
        await pilot.pause(0.2)
        assert "Retract the holder" in shown(app)

    drive(body, session.app())
    assert session.engine.told == []


LONG = Prompt(
    id="flip",
    title="Flip the grid",
    text="Seen: all is as it must be.\n"
    "1. Retract the holder and take the\n   grid out.\n"
    + "2. Do not hurry, nothing is exposed meanwhile.\n" * 8
    + "3. Insert it; when all is good\nagain, say done.",
    choices=("done", "stop"),
)


def test_long_instructions_are_read_on_while_the_choices_have_the_keys(session: Session) -> None:
    session.publish(*FLIP[:-1], PromptOpened(prompt=LONG))

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "PgDn reads on")
        # folded where it was written, and not an instruction of its own
        assert "1. Retract the holder and take the" in shown(app)
        assert "·  grid out" not in shown(app) and "say done" not in shown(app)
        await pilot.press("pagedown", "pagedown")
        await until_shown(app, pilot, "3. Insert it; when all is good again,")
        assert "say done" in shown(app) and "Seen: all" not in shown(app)
        await pilot.press("pageup", "pageup")
        await until_shown(app, pilot, "Seen: all is as it must be.")
        await pilot.pause(0.6)
        await pilot.press("enter")
        await until(lambda: bool(session.engine.told))

    drive(body, session.app())
    assert session.engine.told == [Answer(prompt_id="flip", value="done")]


def test_a_refused_command_is_told(session: Session) -> None:
    session.engine.refusal = "not in a move"

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press("space")
        await until_shown(app, pilot, "not in a move")

    drive(body, session.app())


def test_the_screen_comes_back_when_the_session_does(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        assert session.service._daemon is not None
        session.service._daemon.shutdown()  # killed
        await until_shown(app, pilot, "✗")
        again = SessionService(
            session.folder, lambda record: None, session.service.board.records_after(-1, 999, 0)
        )
        again.serve(session.engine)
        again.publish(StateChanged(state=State.PAUSED, reason="resumed"))
        await until_shown(app, pilot, "paused: resumed")
        again.close(ExitCode.OK)

    drive(body, session.app())


def test_it_stays_on_the_newest_of_two_hundred_frames_a_millisecond_apart(
    session: Session,
) -> None:
    frames = list(script.write_previews(session.folder))[:1] * 200

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        for number, frame in enumerate(frames):
            session.publish(frame.model_copy(update={"caption": f"frame {number}"}))
            await asyncio.sleep(0.001)
        await until_shown(app, pilot, "frame 199")

    drive(body, session.app())


def test_the_end_is_shown_after_the_process_has_gone(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        session.publish(StateChanged(state=State.FAILED, reason="vacuum"))
        session.service.close(ExitCode.SAFETY)
        await until(lambda: app.status.exit_code is ExitCode.SAFETY)
        await pilot.pause()
        assert "■ vacuum" in shown(app)
        again = SessionService(
            session.folder, lambda record: None, session.service.board.records_after(-1, 999, 0)
        )
        again.serve(session.engine)
        again.publish(StateChanged(state=State.RUNNING, reason="resumed"))
        await until_shown(app, pilot, "running: resumed")
        again.close(ExitCode.OK)

    drive(body, session.app())


def test_it_can_leave_by_itself_when_the_session_has_ended(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        session.publish(StateChanged(state=State.FINISHED))
        await until(lambda: not app.is_running)

    drive(body, SessionApp(session.folder, leave_when_ended_s=0.1))


@pytest.mark.parametrize(
    "module", ["controller.service.server", "controller.headless", "controller.cli.attach"]
)
def test_only_the_screen_needs_textual(module: str) -> None:
    code = f"import sys, {module}; sys.exit('textual' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
