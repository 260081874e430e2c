"""Keys on the screen reach the engine through a real service."""

from __future__ import annotations

import asyncio
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from controller.common.exit_codes import ExitCode
from controller.model.commands import Answer, StopWhen
from controller.model.events import Event, PauseAsked, State, StateChanged
from controller.service.session_server import SessionService
from controller.ui.tui import session_app
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script
from tests.tui.sessions import FLIP, REFUSED, WAIT_UNTIL_KEYS_COUNT, Session, until, until_shown
from tests.tui.support import drive, shown


@dataclass(frozen=True)
class Case:
    """Keys pressed on the screen, and the commands that the engine gets."""

    name: str
    events: tuple[Event, ...]
    first_seen: str
    keys: tuple[str, ...]
    commands: tuple[object, ...]


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
        "cancel a pause that waits for the current step",
        (PauseAsked(waiting=True),),
        "running · pausing after the current step",
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
        (WAIT_UNTIL_KEYS_COUNT, "enter"),
        (Answer(prompt_id="flip", value="done"),),
    ),
    Case(
        "answer with another choice",
        FLIP,
        "Retract the holder",
        (WAIT_UNTIL_KEYS_COUNT, "down", "enter"),
        (Answer(prompt_id="flip", value="stop"),),
    ),
    Case(
        "answer later",
        FLIP,
        "Retract the holder",
        ("escape", "a", WAIT_UNTIL_KEYS_COUNT, "enter"),
        (Answer(prompt_id="flip", value="done"),),
    ),
    Case(
        "override with a reason",
        REFUSED,
        "same side up",
        (WAIT_UNTIL_KEYS_COUNT, "down", "down", "enter", *"seen", "enter"),
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
        await until(lambda: len(session.engine.commands) >= len(case.commands))
        assert tuple(session.engine.commands) == case.commands

    drive(body, session.app())


NO_COMMAND = {
    "an override without a reason": (
        REFUSED,
        "same side up",
        (WAIT_UNTIL_KEYS_COUNT, "down", "down", "enter", "enter"),
    ),
    "a postponed prompt": (FLIP, "Retract the holder", ("escape",)),
    "a cancelled stop": ((), "5/73", ("x", "escape")),
    "a cancelled retake": ((), "5/73", ("r", "escape")),
    "a retake outside a series": (FLIP, "Retract the holder", ("escape", "r", "enter")),
    "detaching": ((), "5/73", ("q",)),
}


@pytest.mark.parametrize(("events", "first_seen", "keys"), NO_COMMAND.values(), ids=NO_COMMAND)
def test_keys_that_send_no_command(
    session: Session, events: tuple[Event, ...], first_seen: str, keys: tuple[str, ...]
) -> None:
    session.publish(*events)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, first_seen)
        await pilot.press(*keys)
        await pilot.pause(0.2)

    drive(body, session.app())
    assert session.engine.commands == []


NOT_NOW = {
    "retake before a series": (FLIP, "Retract the holder", ("escape", "r"), "no tilt"),
    "targets of a single session": ((), "5/73", ("t",), "a single session"),
    "an answer without a question": ((), "5/73", ("a",), "no question is open"),
    "a report before the end": ((), "5/73", ("o",), "no report yet"),
}


@pytest.mark.parametrize(("events", "first_seen", "keys", "said"), NOT_NOW.values(), ids=NOT_NOW)
def test_a_key_that_does_nothing_now_says_why(
    session: Session, events: tuple[Event, ...], first_seen: str, keys: tuple[str, ...], said: str
) -> None:
    session.publish(*events)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, first_seen)
        await pilot.press(*keys)
        await until_shown(app, pilot, said)

    drive(body, session.app())


@pytest.mark.parametrize("key", ["x", "r"])
def test_a_dialog_says_that_escape_cancels(session: Session, key: str) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press(key)
        await until_shown(app, pilot, "Esc: cancel")

    drive(body, session.app())


def test_a_read_only_screen_gives_no_commands(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "[ flip ]")
        text = shown(app)
        assert "read-only" in text and "Retract the holder" not in text
        assert "a answers" not in text and "dualtilt answer flip done" in text
        assert "Pause" not in text and "Stop" not in text and "Leave" in text
        await pilot.press("space", "x", "a", "enter")
        await pilot.pause(0.2)

    drive(body, session.app(read_only=True))
    assert session.engine.commands == []


def test_the_reason_of_a_refused_command_is_shown(session: Session) -> None:
    session.engine.refusal = "not in a move"

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press("space")
        await until_shown(app, pilot, "not in a move")

    drive(body, session.app())


def test_the_screen_connects_again_to_a_resumed_session(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        assert session.service._daemon is not None
        session.service._daemon.shutdown()  # killed
        await until_shown(app, pilot, "✗")
        again = SessionService(
            session.folder, lambda record: None, session.service.store.records_after(-1, 999, 0)
        )
        again.serve(session.engine)
        again.publish(StateChanged(state=State.PAUSED, reason="resumed"))
        await until_shown(app, pilot, "paused: resumed")
        again.close(ExitCode.OK)

    drive(body, session.app())


def test_the_newest_of_two_hundred_fast_frames_is_shown(
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


def test_the_end_is_shown_after_the_process_has_exited(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        session.publish(StateChanged(state=State.FAILED, reason="vacuum"))
        session.service.close(ExitCode.SAFETY)
        await until(lambda: app.status.exit_code is ExitCode.SAFETY)
        await pilot.pause()
        assert "■ vacuum" in shown(app)
        again = SessionService(
            session.folder, lambda record: None, session.service.store.records_after(-1, 999, 0)
        )
        again.serve(session.engine)
        again.publish(StateChanged(state=State.RUNNING, reason="resumed"))
        await until_shown(app, pilot, "running: resumed")
        again.close(ExitCode.OK)

    drive(body, session.app())


def test_the_screen_can_close_when_the_session_has_ended(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        session.publish(StateChanged(state=State.FINISHED))
        await until(lambda: not app.is_running)

    drive(body, SessionApp(session.folder, leave_when_ended_s=0.1))


@pytest.mark.parametrize(
    "module",
    ["controller.service.session_server", "controller.ui.headless", "controller.app.cli.attach"],
)
def test_only_the_screen_needs_textual(module: str) -> None:
    code = f"import sys, {module}; sys.exit('textual' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "command"),
    [
        pytest.param("x", "dualtilt stop{folder} --when after-tilt", id="stop"),
        pytest.param("r", "dualtilt retake{folder} --tilts 1", id="retake"),
    ],
)
@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another session"])
def test_the_command_in_a_dialog_names_the_session_while_two_run(
    session: Session, monkeypatch: pytest.MonkeyPatch, key: str, command: str, others: bool
) -> None:
    monkeypatch.setattr(session_app, "others_run", lambda folder: others)
    folder = f" {shlex.quote(str(session.folder))}" if others else ""

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press(key)
        await pilot.pause()
        assert str(app.screen.query_one("#command", Static).render()) == command.format(
            folder=folder
        )

    drive(body, session.app())
