"""A session as text: progress bars on a terminal, else one line for each event of interest.

For people without the screen. It only follows a session, which runs in another process.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import (
    FrameRecorded,
    Phase,
    ProcessingProgressed,
    Record,
    Showered,
    State,
    StateChanged,
)
from controller.model.processing_jobs import JobName
from controller.service import event_text, status_text
from controller.service.service_address import working_process
from controller.service.session_client import (
    NotAnsweringError,
    ServiceClient,
    SessionGoneError,
)
from controller.service.session_status import SessionStatus
from controller.service.session_store import SessionStore
from controller.service.status_file import last_status
from controller.session.event_log import EventLogTail, read_events

WAIT_S = 1.0
EVENTS_FILE = "events.jsonl"
LONGEST_SILENCE = timedelta(seconds=15)
"""Time after which a job that goes on is named again."""


@dataclass(frozen=True)
class _Display:
    """Output of a session that is followed."""

    show: Callable[[SessionStatus, list[Record]], None]
    """Shows new records and the status after them."""
    say: Callable[[str], None]
    """Shows a line that is no event of the session."""


def follow(folder: Path, interrupted: threading.Event, out: TextIO | None = None) -> ExitCode:
    """Print the events of a session, from the start of its present run to its end.

    Parameters
    ----------
    folder
        Folder of the session.
    interrupted
        Set to stop printing; the session keeps running.
    out
        Output; stdout by default.

    Returns
    -------
    ExitCode
        Exit code of the session's process.

    Raises
    ------
    SessionGoneError
        If the session's process vanished without an exit code.
    NotAnsweringError
        If a process that does not work in the folder does not answer; a session that works there
        is waited for.
    UsageError
        If no session runs there.
    KeyboardInterrupt
        If `interrupted` was set.
    """
    with _display(out or sys.stdout) as display:
        return _Follower(folder, display).follow(interrupted)


class _Follower:
    """Follows one session over all its connections."""

    def __init__(self, folder: Path, display: _Display) -> None:
        self._folder, self._display = folder, display
        self._seq = -1
        """Number of the last record shown."""
        self._has_said_that_it_waits = False

    def follow(self, interrupted: threading.Event) -> ExitCode:
        """Show the session until it ends; see :func:`follow`."""
        while not interrupted.is_set():
            try:
                return self._follow_connected(interrupted)
            except NotAnsweringError as error:
                if working_process(self._folder) != error.pid:
                    return self._show_end(error)
                self._say_that_it_waits(error)
                interrupted.wait(WAIT_S)
            except (SessionGoneError, UsageError) as error:
                return self._show_end(error)
        raise KeyboardInterrupt

    def _follow_connected(self, interrupted: threading.Event) -> ExitCode:
        with ServiceClient.connect(self._folder, read_only=True) as client:
            self._seq = max(self._seq, client.status().started_seq - 1)
            while not interrupted.is_set():
                records = client.events_after(self._seq, WAIT_S)
                status = client.status()
                self._display.show(status, records)
                self._seq = records[-1].seq if records else self._seq
                if status.exit_code is not None and not records:
                    return status.exit_code
            raise KeyboardInterrupt

    def _say_that_it_waits(self, error: NotAnsweringError) -> None:
        """Say it once: a computer with too much work does not answer again and again."""
        if not self._has_said_that_it_waits:
            self._has_said_that_it_waits = True
            self._display.say(f"{error.fault}; it still works there: waiting until it answers")

    def _show_end(self, gone: DualtiltError) -> ExitCode:
        """Show the last records from the session's folder and return its exit code."""
        status = last_status(self._folder)
        if status is None or status.exit_code is None or status.seq < self._seq:
            raise gone
        shown = max(self._seq, status.started_seq - 1)
        events = read_events(self._folder / EVENTS_FILE)
        self._display.show(status, [record for record in events if record.seq > shown])
        return status.exit_code


def follow_results(
    folder: Path, interrupted: threading.Event, out: TextIO | None = None
) -> ExitCode:
    """Print the events of the process that makes a session's results, to its end.

    That process serves no screens; its events are read from the session's folder.

    Parameters
    ----------
    interrupted
        Set to stop printing; the process continues.

    Returns
    -------
    ExitCode
        Exit code of the process.

    Raises
    ------
    SessionGoneError
        It was killed.
    KeyboardInterrupt
        If `interrupted` was set.
    """
    log, store = EventLogTail(folder / EVENTS_FILE), SessionStore()
    with _display(out or sys.stdout) as display:
        while not interrupted.is_set():
            works = working_process(folder) is not None  # looked at first: no event is missed
            new, first = log.read_new()
            for record in new:
                store.add(record)
            display.show(store.status, _of_newest_run(new) if first else new)
            if not works:
                return _exit_code(folder)
            interrupted.wait(WAIT_S)
        raise KeyboardInterrupt


def _of_newest_run(records: list[Record]) -> list[Record]:
    """Return the records since a run last began."""
    begins = [
        place
        for place, record in enumerate(records)
        if isinstance(record.event, StateChanged) and record.event.state is State.RUNNING
    ]
    return records[begins[-1] :] if begins else records


def _exit_code(folder: Path) -> ExitCode:
    """Return the exit code that an ended process left on disk."""
    status = last_status(folder)
    if status is None or status.exit_code is None:
        raise SessionGoneError(folder)
    return status.exit_code


@contextmanager
def _display(out: TextIO) -> Iterator[_Display]:
    if out.isatty():
        with _progress_display(out) as display:
            yield display
    else:
        lines = _Lines(out)
        yield _Display(lines.show, lines.say)


class _Lines:
    """One line for each event of interest, and for the progress of each job after recording."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown: dict[JobName, tuple[tuple[str, int], datetime]] = {}
        """Stage and tenths done of each job, as printed last, and the time of that line."""

    def show(self, _: SessionStatus, records: list[Record]) -> None:
        """Print a line for each record of interest."""
        for record in records:
            if event_text.is_headline(record) or self._is_news(record):
                self.say(event_text.plain_line(record))

    def say(self, line: str) -> None:
        """Print a line at once."""
        print(line, file=self._out, flush=True)

    def _is_news(self, record: Record) -> bool:
        """Tell whether a job has begun a stage, reached another tenth, or was silent for long."""
        event = record.event
        if not isinstance(event, ProcessingProgressed) or event.job.is_live:
            return False
        reached = event.stage, math.floor(10 * event.fraction)
        at = datetime.fromisoformat(record.at)
        shown, shown_at = self._shown.get(event.job, (None, at))
        if shown == reached and at - shown_at < LONGEST_SILENCE:
            return False
        self._shown[event.job] = reached, at
        return True


class _ProgressWithAdvice(Progress):
    """Progress bars, and below them the advice to the operator."""

    advice = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bars and the line below them."""
        yield from super().get_renderables()
        yield Text(self.advice)


@contextmanager
def _progress_display(out: TextIO) -> Iterator[_Display]:
    """Show bars for current work, with the other events as lines above them."""
    console = Console(file=out)
    progress = _ProgressWithAdvice(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[note]}"),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    def show(status: SessionStatus, records: list[Record]) -> None:
        for record in records:
            if _is_line_above_bars(record):
                say(event_text.plain_line(record))
        bars = _bars(status)
        for key, bar in bars.items():
            if key not in tasks:
                tasks[key] = progress.add_task(bar.name, total=bar.total, note=bar.note)
            progress.update(tasks[key], completed=bar.done, total=bar.total, note=bar.note)
        for key in tasks:
            if isinstance(key, JobName) and key not in bars:
                progress.update(tasks[key], completed=100.0, note="done")
        progress.advice = _advice(status)

    with progress:
        yield _Display(show, say)


def _advice(status: SessionStatus) -> str:
    """Return the advice to the operator, with its reason."""
    reason = f": {status.operator_reason}" if status.operator_reason else ""
    return f"{status_text.operator_advice(status)}{reason}"


def _is_line_above_bars(record: Record) -> bool:
    """Return True for an event of interest that the bars do not show."""
    if record.advice is not None:
        return True
    shown_by_bars = isinstance(record.event, FrameRecorded | Showered)
    return event_text.is_headline(record) and not shown_by_bars


@dataclass(frozen=True)
class _Bar:
    """One progress bar."""

    name: str
    done: float
    total: float
    note: str = ""


def _bars(status: SessionStatus) -> dict[str, _Bar]:
    """Return the bars for the shower, the series and the processing jobs."""
    bars: dict[str, _Bar] = {}
    if status.showers:
        newest = status.showers[-1]
        bars["shower"] = _Bar(
            "shower/s", newest.elapsed_s, newest.planned_s, status_text.shower_angle(newest)
        )
    for name, series in status.series.items():
        if series.tilts:
            label = f"series {name}"
            note = _series_note(status) if status.phase is Phase(name) else ""
            bars[label] = _Bar(label, len(series.tilts), series.planned, note)
    for job, progress in status.processing.items():
        if not job.is_live:  # the bar of its series shows a live reconstruction
            bars[job] = _Bar(f"processing % {job}", 100 * progress.fraction, 100.0, progress.stage)
    return bars


def _series_note(status: SessionStatus) -> str:
    tilt = status.newest_tilt
    if tilt is None or status.alpha_deg is None:
        return ""
    return (
        f"{status.alpha_deg:+.1f}°  left {status_text.duration(status.left_s)}"
        f"  shift {tilt.shift_px:.1f} px  dose {status_text.dose(status)}"
    )
