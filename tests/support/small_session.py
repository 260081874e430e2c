"""Session of a few small frames on the fake microscope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.hardware.interface import Microscope
from controller.model.base import SeriesName
from controller.model.commands import Answer, StopWhen
from controller.model.events import Event, PromptOpened, State, StateChanged
from controller.model.frames import RecordedFrame
from controller.model.more_tilts import MoreTilts
from controller.model.processing_jobs import Job, JobOutcome
from controller.session.crash_points import CrashPoint, no_crash
from controller.session.folder import SessionFolder
from controller.session.session import Session
from tests.support.fake_microscope import FakeMicroscope

E = TypeVar("E")

PROTOCOL = """
name = "small"
[scan]
width_px = 48
height_px = 48
pixel_nm = 1.0
dwell_us = 10.0
[shower]
duration_s = 60.0
tilts_deg = [-30.0, 30.0]
[series_a]
start_deg = -20.0
stop_deg = 20.0
step_deg = 10.0
[series_b]
start_deg = -20.0
stop_deg = 10.0
step_deg = 10.0
[flip]
unanswered = "stop"
unanswered_after_s = 2.0
[limits]
free_disk_margin = 1.0
"""
TILTS_A = [-20.0, -10.0, 0.0, 10.0, 20.0]
TILTS_B = [-20.0, -10.0, 0.0, 10.0]


@dataclass
class FakeJobs:
    """Processing jobs that end at once with the outcome set by the test."""

    outcomes: dict[Job, JobOutcome] = field(default_factory=dict)
    frames: list[tuple[str, int]] = field(default_factory=list)
    tilts_left: list[int] = field(default_factory=list)
    withdrawn: list[tuple[str, int]] = field(default_factory=list)
    submitted: list[Job] = field(default_factory=list)
    judged: dict[tuple[str, int], MoreTilts] = field(default_factory=dict)
    """Judgements on more tilts, by series and number of its frames."""

    def frame_recorded(self, frame: RecordedFrame, tilts_left: int) -> None:
        self.frames.append((frame.series, frame.section))
        self.tilts_left.append(tilts_left)

    def frame_withdrawn(self, series: SeriesName, section: int) -> None:
        self.withdrawn.append((series, section))

    def tilt_missed(self, series: SeriesName, tilts_left: int) -> None:
        self.tilts_left.append(tilts_left)

    def more_tilts(self, series: SeriesName) -> MoreTilts | None:
        return self.judged.get((series, sum(name == series for name, _ in self.frames)))

    def submit(self, job: Job) -> None:
        self.submitted.append(job)

    def wait(self, job: Job, timeout_s: float) -> JobOutcome | None:
        return self.outcomes.get(job, JobOutcome(job=job, ok=True))


def open_session(
    path: Path, protocol: str = PROTOCOL, crash_point: CrashPoint = no_crash
) -> Session:
    """Open the session in `path`, or create it."""
    known = (path / "journal.jsonl").exists()
    folder = SessionFolder.open(path) if known else SessionFolder.create(path, protocol)
    return Session.open(folder, crash_point)


def write_report(folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text("<html></html>")
    return path


@dataclass
class Run:
    """One run of a session on the fake microscope; prompts are answered from a list."""

    session: Session
    microscope: FakeMicroscope = field(default_factory=FakeMicroscope)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    answers: list[Answer] = field(default_factory=lambda: [Answer(prompt_id="flip", value="done")])
    on_event: Callable[[Event, Engine], None] = lambda event, engine: None
    connect: Callable[[], Microscope] | None = None
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(
            self.session,
            self.connect or (lambda: self.microscope),
            self.jobs,
            self._publish,
            write_report,
        )

    def go(self) -> ExitCode:
        """Run to the end and close the session."""
        try:
            return self.engine.run()
        finally:
            self.session.close()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def _publish(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, PromptOpened):
            self._answer(event)
        self.on_event(event, self.engine)

    def _answer(self, event: PromptOpened) -> None:
        if self.answers and self.answers[0].prompt_id == event.prompt.id:
            self.engine.answer(self.answers.pop(0))


def stop_on(kind: type[object], when: StopWhen) -> Callable[[Event, Engine], None]:
    """Return an event handler that stops the session at the first event of this kind."""
    return lambda event, engine: engine.stop(when) if isinstance(event, kind) else None


def states(run: Run) -> list[State]:
    """Return the states of a run, in order."""
    return [event.state for event in run.of(StateChanged)]


def tilts(path: Path, series: str) -> list[float]:
    """Return the tilts in the angle file of a series, in degrees; none without one."""
    file = path / f"{series}.rawtlt"
    return [float(line) for line in file.read_text().split()] if file.exists() else []
