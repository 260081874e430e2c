"""Prompts of a session against the fake microscope: wrong answers, and none."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer
from controller.model.events import (
    Checked,
    Event,
    Phase,
    PhaseFinished,
    PreviewReady,
    PromptAnswered,
    PromptOpened,
    State,
)
from tests.support.fake_microscope import FakeMicroscope
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, Run, open_session, states, tilts

BAD_ANSWERS = [
    (Answer(prompt_id="flip", value="maybe"), "choose from: done, stop"),
    (Answer(prompt_id="other", value="done"), "this prompt is not open"),
]


@pytest.mark.parametrize(
    ("answer", "complaint"), BAD_ANSWERS, ids=["unknown choice", "wrong prompt"]
)
def test_a_wrong_answer_leaves_the_prompt_open(
    tmp_path: Path, answer: Answer, complaint: str
) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened):
            assert run.microscope.blanked
            with pytest.raises(UsageError, match=complaint):
                engine.answer(answer)
            engine.answer(Answer(prompt_id="flip", value="done"))

    run = Run(open_session(tmp_path / "s"), answers=[], on_event=look)
    assert run.go() is ExitCode.OK
    assert len(run.of(PromptOpened)) == 1


def test_stop_at_the_flip_ends_the_session_and_asks_again_when_resumed(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"), answers=[Answer(prompt_id="flip", value="stop")])
    assert run.go() is ExitCode.INTERRUPTED
    assert tilts(tmp_path / "s", "A") == TILTS_A
    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert [event.prompt.id for event in again.of(PromptOpened)] == ["flip"]
    # series A is complete: the live processing does not begin it again
    assert again.jobs.frames == [("B", section) for section in range(len(TILTS_B))]


def test_a_resumed_session_says_nothing_of_a_phase_that_its_protocol_leaves_out(
    tmp_path: Path,
) -> None:
    protocol = PROTOCOL.replace("[shower]\n", "[shower]\nenabled = false\n")
    folder = tmp_path / "s"
    run = Run(open_session(folder, protocol), answers=[Answer(prompt_id="flip", value="stop")])
    assert run.go() is ExitCode.INTERRUPTED
    again = Run(open_session(folder))
    assert again.go() is ExitCode.OK
    finished = [event.phase for event in again.of(PhaseFinished)]
    assert Phase.SHOWER not in finished and Phase.A in finished


@dataclass(frozen=True)
class Unanswered:
    """A prompt, and the event before it at which the beam is unblanked by hand."""

    prompt: str
    lit_at: type[Event]
    tilts: list[float]


UNANSWERED = [
    Unanswered("preflight", PreviewReady, []),
    Unanswered("flip", Checked, TILTS_A),
]
POLICY = PROTOCOL.replace("unanswered_after_s = 2.0", "unanswered_after_s = 0.3")


@dataclass
class Watch:
    """Observer of a beam that is unblanked by hand just before a prompt opens."""

    case: Unanswered
    microscope: FakeMicroscope
    let_through: int = 0
    blanked: list[bool] = field(default_factory=list)
    """State at the opening of the prompt and at its answer."""
    at_s: list[float] = field(default_factory=list)
    exposures: list[int] = field(default_factory=list)

    def __call__(self, event: Event, engine: Engine) -> None:
        if isinstance(event, self.case.lit_at):
            self.microscope.blanked = False
            self.let_through += 1
        if isinstance(event, PromptOpened | PromptAnswered):
            self.blanked.append(self.microscope.blanked)
            self.at_s.append(time.monotonic())
            self.exposures.append(self.microscope.exposures)


@pytest.mark.parametrize("case", UNANSWERED, ids=lambda case: case.prompt)
def test_nobody_answers_and_the_policy_is_to_stop(tmp_path: Path, case: Unanswered) -> None:
    asks = f"ask_before_start = {str(case.prompt == 'preflight').lower()}\n"
    run = Run(open_session(tmp_path / "s", asks + POLICY), answers=[])
    run.on_event = watch = Watch(case, run.microscope)
    assert run.go() is ExitCode.INTERRUPTED
    assert [event.prompt.id for event in run.of(PromptOpened)] == [case.prompt]
    assert [(e.value, e.by) for e in run.of(PromptAnswered)] == [("stop", "policy")]
    assert watch.let_through and watch.blanked == [True, True]
    opened_s, answered_s = watch.at_s
    assert answered_s - opened_s >= 0.3
    assert states(run)[-1] is State.STOPPED
    assert run.microscope.blanked
    assert "make-safe" in [name for name, _ in run.microscope.log]
    assert watch.exposures == [run.microscope.exposures] * 2
    assert tilts(tmp_path / "s", "A") == case.tilts


def test_nobody_answers_and_the_policy_is_to_wait(tmp_path: Path) -> None:
    protocol = POLICY.replace('unanswered = "stop"', 'unanswered = "wait"')
    run = Run(open_session(tmp_path / "s", protocol), answers=[])
    late = Answer(prompt_id="flip", value="done")

    def answer_late(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened):
            threading.Timer(0.6, engine.answer, [late]).start()

    run.on_event = answer_late
    assert run.go() is ExitCode.OK
    assert [(e.value, e.by) for e in run.of(PromptAnswered)] == [("done", "operator")]
    assert tilts(tmp_path / "s", "B") == TILTS_B
