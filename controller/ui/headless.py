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
from pathlib import Path
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import (
    Event,
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

Show = Callable[[SessionStatus, list[Record]], None]
"""Function that shows new records and the status after them."""


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
    UsageError
        If no session runs there.
    KeyboardInterrupt
        If `interrupted` was set.
    """
    with _display(out or sys.stdout) as show:
        seq = -1
        try:
            with ServiceClient.connect(folder, read_only=True) as client:
                seq = client.status().started_seq - 1
                while not interrupted.is_set():
                    records = client.events_after(seq, WAIT_S)
                    status = client.status()
                    show(status, records)
                    seq = records[-1].seq if records else seq
                    if status.exit_code is not None and not records:
                        return status.exit_code
                raise KeyboardInterrupt
        except (NotAnsweringError, SessionGoneError, UsageError) as error:
            return _show_end(folder, seq, show, error)


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
    with _display(out or sys.stdout) as show:
        while not interrupted.is_set():
            works = working_process(folder) is not None  # looked at first: no event is missed
            new, first = log.read_new()
            for record in new:
                store.add(record)
            show(store.status, _of_newest_run(new) if first else new)
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


def _show_end(folder: Path, seq: int, show: Show, gone: DualtiltError) -> ExitCode:
    """Show the records after `seq` from the session's folder and return its exit code."""
    status = last_status(folder)
    if status is None or status.exit_code is None or status.seq < seq:
        raise gone
    shown = max(seq, status.started_seq - 1)
    show(status, [record for record in read_events(folder / EVENTS_FILE) if record.seq > shown])
    return status.exit_code


@contextmanager
def _display(out: TextIO) -> Iterator[Show]:
    if out.isatty():
        with _progress_display(out) as show:
            yield show
    else:
        yield _Lines(out)


class _Lines:
    """One line for each event of interest, and for the progress of each job after recording."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown: dict[JobName, tuple[str, int]] = {}
        """Stage and tenths done of each job, as printed last."""

    def __call__(self, _: SessionStatus, records: list[Record]) -> None:
        for record in records:
            if event_text.is_headline(record) or self._is_news(record.event):
                print(event_text.plain_line(record), file=self._out, flush=True)

    def _is_news(self, event: Event) -> bool:
        """Tell whether a job has begun a stage or reached another tenth."""
        if not isinstance(event, ProcessingProgressed) or event.job.is_live:
            return False
        reached = event.stage, math.floor(10 * event.fraction)
        is_new = self._shown.get(event.job) != reached
        self._shown[event.job] = reached
        return is_new


class _ProgressWithAdvice(Progress):
    """Progress bars, and below them the advice to the operator."""

    advice = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Return the bars and the line below them."""
        yield from super().get_renderables()
        yield Text(self.advice)


@contextmanager
def _progress_display(out: TextIO) -> Iterator[Show]:
    """Show bars for current work, with the other events as lines above them."""
    console = Console(file=out)
    progress = _ProgressWithAdvice(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[note]}"),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def show(status: SessionStatus, records: list[Record]) -> None:
        for record in records:
            if _is_line_above_bars(record):
                console.print(event_text.plain_line(record), highlight=False, markup=False)
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
        yield show


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
