"""Shares of time in a grid: results made beside the beam cost no time of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.app.grid_shares import time_line
from controller.model.events import (
    Event,
    Phase,
    PhaseFinished,
    PhaseStarted,
    Record,
    State,
    StateChanged,
)
from controller.session.event_log import EventLog
from controller.session.grid_folder import GridFolder

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Span:
    """A phase in minutes from the start; one that is cut ends with the run of its session."""

    phase: Phase
    start: float
    end: float
    is_cut: bool = False


def write_log(grid: GridFolder, name: str, spans: list[Span]) -> None:
    """Write the log of a session with these phases."""
    folder = grid.target(name)
    folder.path.mkdir(parents=True)
    log = EventLog(folder.events)
    seq = 0
    for span in spans:
        stopped, finished = StateChanged(state=State.STOPPED), PhaseFinished(phase=span.phase)
        events: list[tuple[Event, float]] = [
            (PhaseStarted(phase=span.phase), span.start),
            (stopped if span.is_cut else finished, span.end),
        ]
        for event, minute in events:
            at = (START + timedelta(minutes=minute)).isoformat()
            log.append(Record(seq=seq, at=at, event=event))
            seq += 1
    log.close()


def test_only_results_that_the_microscope_waits_for_count(tmp_path: Path) -> None:
    grid = GridFolder(tmp_path)
    b, fuse, report = Phase.B, Phase.FUSE, Phase.REPORT
    one = [Span(b, 0, 3), Span(fuse, 3, 4, is_cut=True), Span(fuse, 4, 7), Span(report, 7, 8)]
    two = [Span(b, 4, 8), Span(fuse, 8, 9), Span(report, 9, 10)]
    write_log(grid, "one", one)
    write_log(grid, "two", two)
    line = time_line(grid, ("one", "two"))
    assert line.startswith("time 10.0 min: series B 70%")
    assert "waiting for results 20%" in line and "reports 10%" in line
    assert "between the steps 0%" in line
