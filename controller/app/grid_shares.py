"""Shares of time and dose in the parts of a recorded grid, from the files of its sessions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controller.model.events import (
    ENDED,
    Event,
    Phase,
    PhaseFinished,
    PhaseStarted,
    SessionStarted,
    StateChanged,
)
from controller.model.plan import make_plan
from controller.model.protocol import Protocol
from controller.model.steps import ShowerTilt, Tilt
from controller.session.event_log import read_events
from controller.session.folder import SessionFolder
from controller.session.grid_folder import GridFolder
from controller.session.journal import read_journal
from controller.session.ledger import replay

TIME_NAMES = {
    Phase.PREFLIGHT: "pre-flight",
    Phase.SHOWER: "finding and shower",
    Phase.A: "series A",
    Phase.FLIP: "flip and finding",
    Phase.B: "series B",
    Phase.FUSE: "waiting for results",
    Phase.REPORT: "reports",
}
BETWEEN = "between the steps"
OTHER_EXPOSURES = "finding, focus, flip check"


@dataclass(frozen=True)
class PhaseSpan:
    """Start and end of a phase; `is_finished` if the phase itself ended it, not its run."""

    phase: Phase
    start: datetime
    end: datetime
    is_finished: bool

    @property
    def is_beside_the_beam(self) -> bool:
        """True for results, made while another target may be recorded.

        A session under the beam never finishes this phase: it only waits for series A in it.
        """
        return self.phase in (Phase.FUSE, Phase.REPORT) and self.is_finished


def time_line(grid: GridFolder, names: tuple[str, ...]) -> str:
    """Return the time on the clock with the share of each phase, over all sessions.

    Results that are made while the microscope is at another target take no time of their own.
    """
    folders = [*(grid.target(name) for name in names), grid.flip]
    spans = [span for folder in folders for span in _phase_spans(folder.events)]
    if not spans:
        return "no time is known"
    first = min(span.start for span in spans)
    total_s = (max(span.end for span in spans) - first).total_seconds()
    recorded = max((span.end for span in spans if not span.is_beside_the_beam), default=first)
    times_s: dict[str, float] = defaultdict(float)
    for span in spans:
        counted_from = max(span.start, recorded) if span.is_beside_the_beam else span.start
        times_s[TIME_NAMES[span.phase]] += max(0.0, (span.end - counted_from).total_seconds())
    times_s[BETWEEN] = max(0.0, total_s - sum(times_s.values()))
    return f"time {total_s / 60:.1f} min: {_percentages(times_s)}"


def dose_line(grid: GridFolder, protocol: Protocol, names: tuple[str, ...]) -> str:
    """Return the dose on all targets together with the share of each kind of exposure.

    The maps that find the targets after the flip belong to none of them and are not included.
    """
    doses: dict[str, float] = defaultdict(float)
    for name in names:
        for part, dose in _doses(grid.target(name), protocol.of_target(name)):
            doses[part] += dose
    return f"dose on all targets {sum(doses.values()) / 1000:.1f} ke/Å²: {_percentages(doses)}"


def _percentages(parts: Mapping[str, float]) -> str:
    whole = sum(parts.values()) or 1.0
    largest_first = sorted(parts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {part / whole:.0%}" for name, part in largest_first)


def _phase_spans(events: Path) -> Iterator[PhaseSpan]:
    """Give each phase of a session with start and end; one that was cut short ends with its run."""
    running: tuple[Phase, datetime] | None = None
    at = datetime.min
    for record in read_events(events):
        event, before, at = record.event, at, datetime.fromisoformat(record.at)
        if running is not None and _ends(event, running[0]):
            end = before if _is_start(event) else at
            yield PhaseSpan(*running, end, is_finished=isinstance(event, PhaseFinished))
            running = None
        if isinstance(event, PhaseStarted):
            running = event.phase, at
    if running is not None:
        yield PhaseSpan(*running, at, is_finished=False)


def _ends(event: Event, phase: Phase) -> bool:
    """Tell whether a phase ends with an event: its own end, or that of the session's run."""
    match event:
        case PhaseFinished():
            return event.phase is phase
        case StateChanged():
            return event.state in ENDED
        case _:
            return _is_start(event)


def _is_start(event: Event) -> bool:
    """Tell whether a run of the session begins; the run before it was killed."""
    return isinstance(event, SessionStarted)


def _doses(folder: SessionFolder, protocol: Protocol) -> Iterator[tuple[str, float]]:
    """Give kind and dose (e/Å²) of each exposure of one session."""
    if not folder.journal.exists():
        return
    steps = {step.id: step for step in make_plan(protocol).steps}
    ledger = replay(line.entry for line in read_journal(folder.journal).lines)
    written = {frame.info.request_id for frames in ledger.frames.values() for frame in frames}
    for request_id, exposure in ledger.exposures.items():
        match steps.get(exposure.intent.step_id):
            case ShowerTilt():
                part = "shower"
            case Tilt(series=series):
                part = f"images of {series}" if request_id in written else "tracking, retakes"
            case _:
                part = OTHER_EXPOSURES
        yield part, exposure.dose_e_per_A2
