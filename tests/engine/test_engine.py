"""A whole session against the fake microscope: order, ends, pauses, stops, prompts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import mrcfile
import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import Answer, StopWhen
from controller.model.events import (
    Checked,
    Event,
    FrameRecorded,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PreviewReady,
    PromptAnswered,
    PromptOpened,
    ReportWritten,
    SessionStarted,
    State,
    StateChanged,
)
from controller.model.processing_jobs import Job, JobOutcome
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, TILTS_B, FakeJobs, Run, open_session


def states(run: Run) -> list[State]:
    return [event.state for event in run.of(StateChanged)]


def tilts(path: Path, series: str) -> list[float]:
    file = path / f"{series}.rawtlt"
    return [float(line) for line in file.read_text().split()] if file.exists() else []


def test_a_session_runs_through_all_its_phases(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    assert run.go() is ExitCode.OK
    assert [event.phase for event in run.of(PhaseStarted)] == list(Phase)
    assert [event.phase for event in run.of(PhaseFinished)] == list(Phase)
    assert states(run) == [State.RUNNING, State.WAITING, State.RUNNING, State.FINISHED]
    assert run.jobs.submitted == [Job.A, Job.B, Job.FUSE]
    assert run.of(ReportWritten)[0].path == "report.html"
    assert run.of(SessionStarted)[0].simulated


def test_the_stacks_are_valid_mrc_files_with_every_tilt(tmp_path: Path) -> None:
    Run(open_session(tmp_path / "s")).go()
    for series, expected in (("A", TILTS_A), ("B", TILTS_B)):
        assert mrcfile.validate(tmp_path / "s" / f"{series}.mrc")
        assert mrcfile.read(tmp_path / "s" / f"{series}.mrc").shape == (len(expected), 48, 48)
        assert tilts(tmp_path / "s", series) == expected


def test_a_frame_is_announced_only_after_it_is_on_disk(tmp_path: Path) -> None:
    def look(event: Event, engine: Engine) -> None:
        if isinstance(event, FrameRecorded):
            size = (tmp_path / "s" / f"{event.frame.series}.mrc").stat().st_size
            assert size == 1024 + (event.frame.section + 1) * 48 * 48 * 2
            assert (
                f'"section":{event.frame.section},'
                in (tmp_path / "s" / "journal.jsonl").read_text()
            )

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.OK
    assert run.jobs.frames == [(e.frame.series, e.frame.section) for e in run.of(FrameRecorded)]


def test_the_time_left_falls_to_zero(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))
    run.go()
    left = [event.left_s for event in run.of(FrameRecorded) if event.frame.series == "A"]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0


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


# -- prompts --------------------------------------------------------------------------------

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


# -- ends -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    name: str
    outcome: JobOutcome
    code: ExitCode
    jobs: list[Job]


ENDS = [
    End(
        "A cannot be processed",
        JobOutcome(job=Job.A, ok=False, reason="no particles"),
        ExitCode.PROCESSING_FAILED,
        [Job.A, Job.B],
    ),
    End(
        "the fusion fails",
        JobOutcome(job=Job.FUSE, ok=False, reason="out of memory"),
        ExitCode.PROCESSING_FAILED,
        [Job.A, Job.B, Job.FUSE],
    ),
    End(
        "the fusion is refused",
        JobOutcome(job=Job.FUSE, ok=False, refused=True, reason="B is no flipped A"),
        ExitCode.SAFETY,
        [Job.A, Job.B, Job.FUSE],
    ),
]


@pytest.mark.parametrize("case", ENDS, ids=lambda case: case.name)
def test_processing_that_fails_leaves_the_raw_data_and_a_report(tmp_path: Path, case: End) -> None:
    jobs = FakeJobs(outcomes={case.outcome.job: case.outcome})
    run = Run(open_session(tmp_path / "s"), jobs=jobs)
    assert run.go() is case.code
    assert run.jobs.submitted == case.jobs
    assert states(run)[-1] is State.FAILED
    assert case.outcome.reason in run.of(StateChanged)[-1].reason
    assert tilts(tmp_path / "s", "B") == TILTS_B
    assert len(run.of(ReportWritten)) == 1

    again = Run(open_session(tmp_path / "s"))
    assert again.go() is ExitCode.OK
    assert again.jobs.submitted[-1] is Job.FUSE
    assert again.of(FrameRecorded) == []


def test_an_internal_error_is_reported_and_leaves_the_column_safe(tmp_path: Path) -> None:
    run = Run(open_session(tmp_path / "s"))

    def explode(action: str, request_id: str) -> None:
        if "A-002/frame" in request_id:
            raise RuntimeError("a bug")

    run.microscope.fault = explode
    with pytest.raises(RuntimeError, match="a bug"):
        run.go()
    assert "internal error: RuntimeError: a bug" in run.of(StateChanged)[-1].reason
    assert run.microscope.blanked


def test_the_engine_imports_no_screen_no_bridge_and_no_reconstruction() -> None:
    code = (
        "import sys, controller.engine;"
        "print({'textual', 'Pyro5', 'astra', 'simulator'} & {m.split('.')[0] for m in sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
