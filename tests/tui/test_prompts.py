"""Prompts on the screen: when they open and close, and long instructions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from textual.pilot import Pilot

from controller.model.commands import Answer, StopWhen
from controller.model.events import PromptAnswered, PromptOpened
from controller.model.prompts import Prompt
from controller.ui.tui import dialogs
from controller.ui.tui.session_app import SessionApp
from tests.tui.sessions import FLIP, Session, lines_with_keys, until, until_shown
from tests.tui.support import drive, lines, shown


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
    """Dialog or screen over the main screen when a prompt opens, and the keys for it."""

    name: str
    opens: str
    text: str
    keys: tuple[str, ...]
    commands: tuple[object, ...] = ()


OVER = (
    Over("stop, cancelled", "x", "Stop the session", ("escape",)),
    Over("stop, chosen", "x", "Stop the session", ("enter",), (StopWhen.AFTER_TILT,)),
    Over("help", "question_mark", "record the last tilts again", ("q",)),
    Over("the log", "l", "event log", ("escape",)),
    Over("the palette", "ctrl+p", "Search for commands", ("escape",)),
)


@pytest.mark.parametrize("case", OVER, ids=lambda case: case.name)
def test_a_prompt_waits_until_another_dialog_closes(session: Session, case: Over) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press(case.opens)
        await until_shown(app, pilot, case.text)
        session.publish(*FLIP)
        await until(lambda: app.status.prompt is not None)
        await pilot.pause()
        assert case.text in shown(app) and "Retract the holder" not in shown(app)
        await pilot.press(*case.keys)
        await until_shown(app, pilot, "Retract the holder")
        await until(lambda: len(session.engine.commands) >= len(case.commands))

    drive(body, session.app())
    assert tuple(session.engine.commands) == case.commands


def test_a_prompt_answered_before_its_dialog_does_not_open(session: Session) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "5/73")
        await pilot.press("x")
        session.publish(*FLIP, PromptAnswered(prompt_id="flip", value="done", by="demo"))
        await until_shown(app, pilot, "[ flip ]")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert "Stop the session" not in shown(app) and "Retract the holder" not in shown(app)

    drive(body, session.app())


def test_a_postponed_prompt_does_not_open_after_the_log(session: Session) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        await pilot.press("escape", "l", "escape")
        await until_shown(app, pilot, "a answers")
        await pilot.pause(0.2)
        assert "Retract the holder" not in shown(app)

    drive(body, session.app())


def test_a_prompt_answered_elsewhere_closes_under_another_dialog(session: Session) -> None:
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


@pytest.mark.parametrize("keys", [(), ("escape", "a")], ids=["opened by itself", "opened again"])
def test_a_key_pressed_as_the_prompt_opens_is_no_answer(
    session: Session, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    monkeypatch.setattr(dialogs, "IGNORE_KEYS_S", 60.0)  # for slow machines
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        await pilot.press(*keys, "enter")
        await pilot.pause(0.2)
        assert "Retract the holder" in shown(app)

    drive(body, session.app())
    assert session.engine.commands == []


LONG = Prompt(
    id="flip",
    title="Flip the grid",
    text="Seen: all is as it must be.\n"
    "1. Retract the holder and take the\n   grid out.\n"
    + "2. Do not hurry, nothing is exposed meanwhile.\n" * 8
    + "3. Insert it; when all is good\nagain, say done.",
    choices=("done", "stop"),
)


def test_long_instructions_scroll_while_the_choices_have_the_focus(session: Session) -> None:
    session.publish(*FLIP[:-1], PromptOpened(prompt=LONG))

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "PgDn scrolls")
        # the continued line belongs to instruction 1
        assert "1. Retract the holder and take the" in shown(app)
        assert "·  grid out" not in shown(app) and "say done" not in shown(app)
        await pilot.press("pagedown", "pagedown")
        await until_shown(app, pilot, "3. Insert it; when all is good again,")
        assert "say done" in shown(app) and "Seen: all" not in shown(app)
        await pilot.press("pageup", "pageup")
        await until_shown(app, pilot, "Seen: all is as it must be.")
        await pilot.pause(0.6)
        await pilot.press("enter")
        await until(lambda: bool(session.engine.commands))

    drive(body, session.app())
    assert session.engine.commands == [Answer(prompt_id="flip", value="done")]


REHEARSED = Prompt(
    id="flip",
    title="Flip the grid",
    text="1. Flip it.",
    choices=("done", "stop", "not-flipped", "other-assembly"),
    rehearsed=("not-flipped", "other-assembly"),
)


def test_mistakes_to_rehearse_stand_apart_from_the_answers(session: Session) -> None:
    session.publish(*FLIP[:-1], PromptOpened(prompt=REHEARSED))

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "mistakes to rehearse:")
        shown_in_order = ("done", "stop", "mistakes to rehearse:", "not-flipped", "other-assembly")
        rows = [
            next(i for i, row in enumerate(lines(app)) if each in row) for each in shown_in_order
        ]
        assert rows == sorted(rows)
        await pilot.pause(0.6)
        await pilot.press("down", "down", "enter")  # the heading is no answer
        await until(lambda: bool(session.engine.commands))

    drive(body, session.app())
    assert session.engine.commands == [Answer(prompt_id="flip", value="not-flipped")]


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        ("l", "event log"),
        ("x", "Stop the session"),
        ("question_mark", "record the last tilts again"),
    ],
    ids=["log", "stop", "help"],
)
def test_the_keys_in_the_last_line_of_a_prompt_work(session: Session, key: str, seen: str) -> None:
    session.publish(*FLIP)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        await until_shown(app, pilot, "Retract the holder")
        offered = await lines_with_keys(app, "Later", "Stop…", "Log", "Help", "Leave")
        assert "Pause" not in offered[-1]
        await pilot.press(key)
        await until_shown(app, pilot, seen)
        await pilot.press("escape")
        await until_shown(app, pilot, "Retract the holder")

    drive(body, session.app())
