"""Holder at the flip: the session waits for blanked beam, stage at zero and column valves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Status
from controller.model.commands import Answer
from controller.model.events import (
    Alerted,
    Checked,
    Event,
    FrameRecorded,
    Level,
    PauseCause,
    PromptAnswered,
    PromptOpened,
    State,
    StateChanged,
)
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import Run, open_session


class ManualValves(FakeMicroscope):
    """Microscope whose valves only the test opens and closes."""

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        before = self.valves_open
        super().simulate_operator(request_id, action)
        self.valves_open = before


class OffZero(FakeMicroscope):
    """Microscope whose stage reports another position until `at` is None."""

    at: StagePosition | None = StagePosition(alpha_deg=4.0)

    def status(self) -> Status:
        status = super().status()
        at_rest = status.stage == StagePosition() and self.at is not None
        return status.model_copy(update={"stage": self.at}) if at_rest else status


@dataclass(frozen=True)
class Unseen:
    name: str
    microscope: Callable[[], FakeMicroscope]
    why: str
    mend: dict[str, object]


UNSEEN = [
    Unseen("valves open", ManualValves, "column valves: OPEN", {"valves_open": False}),
    Unseen("stage not at zero", OffZero, "stage: NOT at zero: alpha +4.00°", {"at": None}),
]


def pauses_of(run: Run) -> list[str]:
    return [event.reason for event in run.of(StateChanged) if event.state is State.PAUSED]


def prompt_text(run: Run) -> str:
    return next(event.prompt.text for event in run.of(PromptOpened) if event.prompt.id == "flip")


@pytest.mark.parametrize("case", UNSEEN, ids=lambda case: case.name)
def test_the_flip_prompt_waits_for_valves_and_stage(tmp_path: Path, case: Unseen) -> None:
    microscope = case.microscope()

    def mend(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and "holder comes out" in event.reason:
            assert microscope.blanked and not run.of(PromptOpened)
            vars(microscope).update(case.mend)
        if isinstance(event, PromptAnswered):
            microscope.valves_open = True

    run = Run(open_session(tmp_path / "s"), microscope, on_event=mend)
    assert run.go() is ExitCode.OK
    (reason,) = pauses_of(run)
    assert case.why in reason and "the session goes on by itself when this is done" in reason
    (cause,) = {event.pause_cause for event in run.of(StateChanged) if event.pause_cause}
    assert cause is PauseCause.HANDS
    assert prompt_text(run).startswith(
        "Checked: beam blanked, stage at zero, column valves closed."
    )
    assert {c.name for c in run.of(Checked) if not c.ok} == {reason.split(": ")[2]}


@pytest.mark.parametrize("case", UNSEEN, ids=lambda case: case.name)
def test_the_operator_can_go_on_with_a_warning(tmp_path: Path, case: Unseen) -> None:
    microscope = case.microscope()

    def insist(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            engine.go_on()

    run = Run(open_session(tmp_path / "s"), microscope, on_event=insist)
    assert run.go() is ExitCode.OK
    assert case.why in prompt_text(run)
    assert prompt_text(run).startswith("NOT READY")
    told = [
        a
        for a in run.of(Alerted)
        if a.level is Level.WARNING and "continued by the operator" in a.text
    ]
    assert len(told) == 1 and case.why in told[0].text


def test_a_session_stopped_at_the_flip_is_resumed_with_the_valves_closed(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    answers = [Answer(prompt_id="flip", value="stop")]
    Run(open_session(tmp_path / "s"), microscope, answers=answers).go()
    assert not microscope.valves_open
    run = Run(open_session(tmp_path / "s"), microscope)
    assert run.go() is ExitCode.OK
    assert len([e for e in run.of(FrameRecorded) if e.frame.series == "B"]) == 4


def test_the_session_waits_for_closed_valves_after_the_flip(tmp_path: Path) -> None:
    microscope = ManualValves()

    def hands(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            microscope.valves_open = "is exposed" in event.reason

    run = Run(open_session(tmp_path / "s"), microscope, on_event=hands)
    assert run.go() is ExitCode.OK
    out, back_in = pauses_of(run)
    assert "column valves: OPEN: close them at the column" in out
    assert "column valves: CLOSED: open them at the column" in back_in
    assert len([e for e in run.of(FrameRecorded) if e.frame.series == "B"]) == 4
