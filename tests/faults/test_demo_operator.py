"""The operator of a rehearsal: what it answers, and when it ends a pause."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from controller.common.errors import UsageError
from controller.engine.control import PAUSED_BY_OPERATOR
from controller.model.commands import Answer
from controller.model.events import Counted, Event, Prompt, PromptOpened, State, StateChanged
from controller.rehearsal import demo_operator
from controller.rehearsal.demo_operator import DemoOperator

FLIP = PromptOpened(prompt=Prompt(id="flip", title="", text="", choices=("done", "stop")))
CHECK = PromptOpened(
    prompt=Prompt(
        id="flip-check",
        title="",
        text="",
        choices=("retake-image", "back-to-flip", "override", "stop"),
    )
)
OTHER = PromptOpened(prompt=Prompt(id="other", title="", text="", choices=("go", "stop")))
COUNTED = Counted(which="A", n=1, n_low=1, n_high=1, tilts_used=1, live=False)
DONE, RETAKE, BACK, STOP = "done", "retake-image", "back-to-flip", "stop"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_operator, "PAUSE_S", 0.01)


def said(events: Iterable[Event], sees_to_faults: bool = True) -> list[str]:
    """Tell it these events, one after the other; return what it says."""
    words: list[str] = []
    operator = DemoOperator(
        lambda answer: words.append(answer.value),
        (lambda: words.append("go on")) if sees_to_faults else None,
    )
    for event in events:
        operator(event)
        time.sleep(0.05)
    return words


def paused(reason: str) -> StateChanged:
    return StateChanged(state=State.PAUSED, reason=reason)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param([FLIP], [], id="the flip waits for the count of A"),
        pytest.param([FLIP, COUNTED], [DONE], id="and is done then"),
        pytest.param([COUNTED, FLIP, FLIP], [DONE, DONE], id="again, when it was not right"),
        pytest.param(
            [COUNTED, FLIP, CHECK, CHECK, FLIP],
            [DONE, RETAKE, BACK, DONE],
            id="a refused flip is looked at again, then repeated",
        ),
        pytest.param([COUNTED, *[FLIP] * 6], [DONE] * 5 + [STOP], id="but not for ever"),
        pytest.param([CHECK] * 6, [RETAKE, *[BACK] * 4, STOP], id="nor the check"),
        pytest.param([OTHER, OTHER], ["go", STOP], id="another prompt, once"),
        pytest.param(
            [paused("A-020: closed; open the column valves, then go on")], ["go on"], id="a fault"
        ),
        pytest.param([paused("A-010: no beam; goes on by itself")], [], id="one that passes"),
        pytest.param([paused(PAUSED_BY_OPERATOR)], [], id="somebody else's pause"),
    ],
)
def test_what_it_says(events: list[Event], words: list[str]) -> None:
    assert said(events) == words


def test_without_faults_to_rehearse_it_ends_no_pause() -> None:
    assert said([paused("A-020: valves closed; see to it")], sees_to_faults=False) == []


def test_what_has_settled_itself_needs_no_word() -> None:
    def too_late(answer: Answer) -> None:
        raise UsageError("no such prompt is open")

    operator = DemoOperator(too_late)
    operator(OTHER)
    time.sleep(0.05)
