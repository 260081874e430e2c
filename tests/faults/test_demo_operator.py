"""Demo operator: its answers, and the pauses that it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest

from controller.common.errors import UsageError
from controller.model.commands import Answer
from controller.model.events import (
    Counted,
    Event,
    PauseCause,
    PromptOpened,
    State,
    StateChanged,
)
from controller.model.prompts import Prompt, PromptId
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
COUNTED = Counted(which="A", n=1, n_low=1, n_high=1, tilts_used=1, live=False)
DONE, RETAKE, BACK, STOP = "done", "retake-image", "back-to-flip", "stop"


class Timer:
    """A timer that has no delay and needs no thread."""

    def __init__(self, delay_s: float, act: Callable[[], None]) -> None:
        self.start = act


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(Timer=Timer)
    monkeypatch.setattr(demo_operator, "threading", stand_in)


def answers(events: Iterable[Event], ends_pauses: bool = True) -> list[str]:
    """Send these events to a demo operator; return its answers."""
    words: list[str] = []
    operator = DemoOperator(
        lambda answer: words.append(answer.value),
        (lambda: words.append("go on")) if ends_pauses else None,
    )
    for event in events:
        operator(event)
    return words


def paused(cause: PauseCause) -> StateChanged:
    return StateChanged(state=State.PAUSED, reason="for a test", pause_cause=cause)


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param([FLIP], [DONE], id="the flip waits for no count"),
        pytest.param([COUNTED], [], id="a count needs no answer"),
        pytest.param([FLIP, FLIP], [DONE, DONE], id="a wrong flip is repeated"),
        pytest.param(
            [FLIP, CHECK, CHECK, FLIP],
            [DONE, RETAKE, BACK, DONE],
            id="a refused flip: first another image, then another flip",
        ),
        pytest.param(
            [FLIP] * 6,
            [DONE] * 5 + [STOP],
            id="the sixth flip prompt is answered with stop",
        ),
        pytest.param(
            [CHECK] * 6,
            [RETAKE, *[BACK] * 4, STOP],
            id="the sixth flip check is answered with stop",
        ),
        pytest.param([paused(PauseCause.FAULT)], ["go on"], id="a fault for a person"),
        pytest.param([paused(PauseCause.PASSING)], [], id="a pause that ends by itself"),
        pytest.param([paused(PauseCause.OPERATOR)], [], id="a pause of the operator"),
    ],
)
def test_answers(events: list[Event], words: list[str]) -> None:
    assert answers(events) == words


def test_every_prompt_has_its_answers() -> None:
    assert set(demo_operator.ANSWERS) == set(PromptId)


def test_without_faults_to_rehearse_it_ends_no_pause() -> None:
    assert answers([paused(PauseCause.FAULT)], ends_pauses=False) == []


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    def too_late(answer: Answer) -> None:
        raise UsageError("no such prompt is open")

    operator = DemoOperator(too_late)
    operator(CHECK)
