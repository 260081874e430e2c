"""Stops, pauses and refused commands of a session against the fake microscope."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer, StopWhen
from controller.model.events import (
    Alerted,
    Event,
    FrameRecorded,
    SessionStarted,
    State,
    StateChanged,
)
from controller.model.processing_jobs import Job, JobOutcome
from tests.support.frames import is_frame
from tests.support.small_session import TILTS_A, TILTS_B, FakeJobs, Run, open_session, states, tilts

# -- stops ----------------------------------------------------------------------------------


def at_frame(index: int, act: Callable[[Engine], None]) -> Callable[[Event, Engine], None]:
    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", index):
            act(engine)

    return look


@dataclass(frozen=True)
class Stop:
    name: str
    when: StopWhen
    frames_a: int
    jobs: list[Job] = field(default_factory=list)


STOPS = [
    Stop("after the tilt", StopWhen.AFTER_TILT, 2),
    Stop("now", StopWhen.NOW, 2),
    Stop("at the end of the series", StopWhen.AT_END_OF_SERIES, 5, [Job.A]),
]


@pytest.mark.parametrize("case", STOPS, ids=lambda case: case.name)
def test_a_stop_takes_effect_at_its_moment_and_can_be_resumed(tmp_path: Path, case: Stop) -> None:
    run = Run(open_session(tmp_path / "s"), on_event=at_frame(1, lambda e: e.stop(case.when)))
    assert run.go() is ExitCode.INTERRUPTED
    assert states(run)[-2:] == [State.STOPPING, State.STOPPED]
    assert run.microscope.blanked
    assert tilts(tmp_path / "s", "A") == TILTS_A[: case.frames_a]
    assert run.jobs.submitted == case.jobs

    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert again.of(SessionStarted)[0].resumed
    left_a = len(TILTS_A) - case.frames_a
    assert [event.text for event in again.of(Alerted) if event.where == "resume"] == [
        f"session resumed; A: {case.frames_a} tilts recorded, {left_a} left; "
        f"B: 0 tilts recorded, {len(TILTS_B)} left"
    ]
    assert tilts(tmp_path / "s", "A") == TILTS_A
    assert tilts(tmp_path / "s", "B") == TILTS_B


def test_an_immediate_stop_ends_the_current_exposure(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    exposing, safe = threading.Event(), threading.Event()

    def hang(action: str, request_id: str) -> None:
        if action == "acquire" and "A-003/frame" in request_id:
            exposing.set()
            assert safe.wait(60)

    run.microscope.fault = hang
    run.microscope.on_safe = safe.set
    codes: list[ExitCode] = []
    thread = threading.Thread(target=lambda: codes.append(run.go()))
    thread.start()
    assert exposing.wait(60)
    run.engine.stop(StopWhen.NOW)
    run.engine.stop(StopWhen.NOW)  # pressing it again changes nothing
    thread.join(60)
    assert codes == [ExitCode.INTERRUPTED]
    assert run.microscope.blanked
    assert len(run.of(FrameRecorded)) == 2


def test_a_stop_before_the_start_leaves_the_microscope_alone(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    run.engine.stop(StopWhen.AFTER_TILT)
    assert run.go() is ExitCode.INTERRUPTED
    assert run.microscope.log == []


@pytest.mark.parametrize("when", [StopWhen.AFTER_TILT, StopWhen.AT_END_OF_SERIES])
def test_a_stop_after_the_last_tilt_ends_the_processing(tmp_path: Path, when: StopWhen) -> None:
    """No tilt is left to wait for."""

    @dataclass
    class StoppedInFusion(FakeJobs):
        def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
            if job is Job.FUSE:
                run.engine.stop(when)
                return None
            return super().wait(job, timeout_s)

    run = Run(open_session(tmp_path / "s"), jobs=StoppedInFusion())
    assert run.go() is ExitCode.INTERRUPTED
    assert states(run)[-1] is State.STOPPED
    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert again.jobs.submitted == [Job.FUSE]


def test_the_count_of_a_that_ended_in_b_is_not_made_again(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "B", 1):
            engine.stop(StopWhen.NOW)

    assert Run(open_session(tmp_path / "s"), on_event=look).go() is ExitCode.INTERRUPTED
    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert again.jobs.submitted == [Job.B, Job.FUSE]


# -- pauses ---------------------------------------------------------------------------------


def test_a_pause_blanks_waits_and_goes_on(tmp_path: Path) -> None:
    seen: list[bool] = []

    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            seen.append(run.microscope.blanked)
            threading.Timer(0.05, engine.go_on).start()
        at_frame(1, lambda e: e.pause())(event, engine)

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.OK
    assert seen == [True]
    assert states(run)[:3] == [State.RUNNING, State.PAUSED, State.RUNNING]
    assert tilts(tmp_path / "s", "A") == TILTS_A


def test_a_paused_session_can_be_stopped(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, StateChanged) and event.state is State.PAUSED:
            threading.Timer(0.05, engine.stop, (StopWhen.AFTER_TILT,)).start()
        at_frame(1, lambda e: e.pause())(event, engine)

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.INTERRUPTED
    assert tilts(tmp_path / "s", "A") == TILTS_A[:2]


def test_processing_that_never_ends_can_be_stopped(tmp_path: Path) -> None:
    jobs = FakeJobs()
    run = Run(open_session(tmp_path / "s"), jobs=jobs)

    def never(job: Job, timeout_s: float) -> JobOutcome | None:
        run.engine.stop(StopWhen.NOW)
        return None

    jobs.wait = never  # type: ignore[method-assign]
    assert run.go() is ExitCode.INTERRUPTED


# -- refused commands -----------------------------------------------------------------------


def test_commands_are_refused_in_one_line(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    with pytest.raises(UsageError, match="no pause to end"):
        run.engine.go_on()
    with pytest.raises(UsageError, match="this prompt is not open"):
        run.engine.answer(Answer(prompt_id="flip", value="done"))
    run.go()
    with pytest.raises(UsageError, match="the session is finished"):
        run.engine.pause()
    with pytest.raises(UsageError, match="the session is finished"):
        run.engine.stop(StopWhen.AFTER_TILT)
