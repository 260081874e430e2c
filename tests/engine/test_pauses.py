"""Pause requested while the engine waits for something else: kept or cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import BeamLostError, ValvesClosedError
from controller.model.commands import Answer, StopWhen
from controller.model.events import (
    Alerted,
    Event,
    FrameRecorded,
    PauseAsked,
    PromptOpened,
    State,
    StateChanged,
)
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import Run, open_session


def states(run: Run) -> list[State]:
    return [event.state for event in run.of(StateChanged)]


def exposures(run: Run) -> int:
    return sum(action == "acquire" for action, _ in run.microscope.log)


DONE = Answer(prompt_id="flip", value="done")
STOP = Answer(prompt_id="flip", value="stop")
HELD = [State.RUNNING, State.WAITING, State.RUNNING, State.PAUSED, State.RUNNING, State.FINISHED]
NOT_HELD = [State.RUNNING, State.WAITING, State.RUNNING, State.FINISHED]


@dataclass(frozen=True)
class AtThePrompt:
    name: str
    say: Callable[[Engine], None]
    answer: Answer
    code: ExitCode
    states: list[State]


def pause(engine: Engine) -> None:
    engine.pause()


def pause_twice(engine: Engine) -> None:
    engine.pause()
    engine.pause()


def pause_and_take_back(engine: Engine) -> None:
    engine.pause()
    engine.go_on()


AT_THE_PROMPT = [
    AtThePrompt("a pause is kept", pause, DONE, ExitCode.OK, HELD),
    AtThePrompt("two requests are one pause", pause_twice, DONE, ExitCode.OK, HELD),
    AtThePrompt("going on cancels it", pause_and_take_back, DONE, ExitCode.OK, NOT_HELD),
    AtThePrompt(
        "the answer to stop comes first",
        pause,
        STOP,
        ExitCode.INTERRUPTED,
        [State.RUNNING, State.WAITING, State.RUNNING, State.STOPPING, State.STOPPED],
    ),
]


@pytest.mark.parametrize("case", AT_THE_PROMPT, ids=lambda case: case.name)
def test_a_pause_requested_while_a_prompt_is_open(tmp_path: Path, case: AtThePrompt) -> None:
    blanked: list[bool] = []
    exposed: list[int] = []

    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, PromptOpened):
            case.say(engine)
            exposed.append(exposures(run))
            engine.answer(case.answer)
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            blanked.append(run.microscope.blanked)
            exposed.append(exposures(run))
            threading.Timer(0.05, engine.go_on).start()

    run = Run(open_session(tmp_path / "s"), answers=[], on_event=look)
    assert run.go() is case.code
    assert states(run) == case.states
    assert [event.waiting for event in run.of(PauseAsked)] == [
        True,
        False,
    ]  # published at once, and once
    assert blanked == [True] * case.states.count(State.PAUSED)
    assert len(set(exposed)) == 1  # none between the question and the pause


def test_a_pause_requested_before_the_start_is_kept(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            threading.Timer(0.05, engine.go_on).start()

    run = Run(open_session(tmp_path / "s"), on_event=look)
    run.engine.pause()
    assert run.go() is ExitCode.OK
    assert states(run)[:3] == [State.RUNNING, State.PAUSED, State.RUNNING]


def test_a_pause_can_be_cancelled_while_the_beam_is_blanked_for_it(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            engine.pause()

    def take_back(action: str, request_id: str) -> None:
        if action == "blank" and len(run.of(FrameRecorded)) == 2 and not taken_back:
            taken_back.append(True)
            run.engine.go_on()

    taken_back: list[bool] = []
    run = Run(open_session(tmp_path / "s"), on_event=look)
    run.microscope.fault = take_back
    assert run.go() is ExitCode.OK
    assert taken_back and State.PAUSED not in states(run)


def test_a_pause_requested_during_a_fault_outlasts_the_fault(tmp_path: Path) -> None:
    def lose_the_beam(action: str, request_id: str) -> None:
        if "A-003/frame" in request_id and not lost:
            lost.append(True)
            raise BeamLostError("no emission")

    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            if "resumed automatically" not in "".join(e.reason for e in run.of(StateChanged)):
                engine.pause()
            else:
                threading.Timer(0.05, engine.go_on).start()

    lost: list[bool] = []
    run = Run(open_session(tmp_path / "s"), on_event=look)
    run.microscope.fault = lose_the_beam
    assert run.go() is ExitCode.OK
    paused = [event.reason for event in run.of(StateChanged) if event.state is State.PAUSED]
    assert len(paused) == 2 and paused[-1] == "by the operator"


@pytest.mark.parametrize("when", [StopWhen.NOW, StopWhen.AFTER_TILT])
def test_a_stop_while_the_beam_is_blanked_after_a_fault_leads_to_no_pause(
    tmp_path: Path, when: StopWhen
) -> None:
    def close_valves_then_stop(action: str, request_id: str) -> None:
        if "A-003/frame" in request_id and not closed:
            closed.append(True)
            raise ValvesClosedError("the column valves are closed")
        if action == "blank" and closed and not stopped:
            stopped.append(True)
            run.engine.stop(when)

    def end_pause(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            threading.Timer(0.05, engine.go_on).start()

    closed: list[bool] = []
    stopped: list[bool] = []
    run = Run(open_session(tmp_path / "s"), on_event=end_pause)
    run.microscope.fault = close_valves_then_stop
    assert run.go() is ExitCode.INTERRUPTED
    assert stopped and State.PAUSED not in states(run)


class SlowToBeSafe(FakeMicroscope):
    def make_safe(self, reason: str) -> None:
        if reason == STOPPED:
            time.sleep(0.3)
        super().make_safe(reason)


STOPPED = "stopped by the operator"


def test_an_immediate_stop_in_a_pause_is_completed_without_an_alarm(tmp_path: Path) -> None:
    def stop_in_the_pause(event: Event, engine: Engine) -> None:
        if isinstance(event, FrameRecorded) and event.frame.section == 1:
            engine.pause()
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            threading.Timer(0.1, engine.stop, (StopWhen.NOW,)).start()

    run = Run(open_session(tmp_path / "s"), SlowToBeSafe(), on_event=stop_in_the_pause)
    assert run.go() is ExitCode.INTERRUPTED
    log = run.microscope.log
    assert log.index(("make-safe", STOPPED)) < log.index(("close", ""))
    assert run.of(Alerted) == []
    said = len(log)
    run.engine.stop(StopWhen.NOW)  # again, after the end
    assert len(log) == said
