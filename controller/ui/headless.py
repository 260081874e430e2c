"""The session as text: a progress display on a terminal, else one line a tilt, count or prompt.

The same job as the screen for whoever has none; it holds no session, it follows one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import FrameRecorded, Phase, Record, Showered
from controller.service import words
from controller.service.client import ServiceClient, SessionGoneError, last_status
from controller.service.status import SessionStatus
from controller.session.event_log import read_events

WAIT_S = 1.0
EVENTS_FILE = "events.jsonl"
JOB = "processing % "

Teller = Callable[[SessionStatus, list[Record]], None]
"""Told of every batch of records, with the status after it."""


def follow(folder: Path, out: TextIO | None = None) -> ExitCode:
    """Tell what happens in a session, from the start of its present run to its end.

    Ctrl-C leaves the session alone and raises KeyboardInterrupt.

    Parameters
    ----------
    folder
        Where it runs.
    out
        Where to; stdout when left out.

    Returns
    -------
    ExitCode
        What the session's process ended with.

    Raises
    ------
    SessionGoneError
        When the session's process vanished without a last word.
    UsageError
        When no session runs there.
    """
    with _teller(out or sys.stdout) as tell:
        seq = -1
        try:
            with ServiceClient.connect(folder, read_only=True) as client:
                seq = client.status().started_seq - 1
                while True:
                    records = client.events_after(seq, WAIT_S)
                    seq = records[-1].seq if records else seq
                    status = client.status()
                    tell(status, records)
                    if status.exit_code is not None and not records:
                        return status.exit_code
        except (SessionGoneError, UsageError) as error:
            return _last_word(folder, seq, tell, error)


def _last_word(folder: Path, seq: int, tell: Teller, gone: DualtiltError) -> ExitCode:
    """The exit code a session left in its folder, and what it did not get to tell."""
    status = last_status(folder)
    if status is None or status.exit_code is None or status.seq < seq:
        raise gone
    told = max(seq, status.started_seq - 1)
    tell(status, [record for record in read_events(folder / EVENTS_FILE) if record.seq > told])
    return status.exit_code


@contextmanager
def _teller(out: TextIO) -> Iterator[Teller]:
    if out.isatty():
        with _progress_teller(out) as tell:
            yield tell
    else:
        yield lambda status, records: _tell_lines(out, status, records)


def _tell_lines(out: TextIO, status: SessionStatus, records: list[Record]) -> None:
    """One line an event worth it."""
    del status
    for record in records:
        if words.is_news(record) and not isinstance(record.event, words.FREQUENT):
            print(line_of(record), file=out, flush=True)


def line_of(record: Record) -> str:
    """Time, mark, what happened."""
    sign = words.mark(record)
    return f"{words.clock(record.at)} {sign:<2} {words.tell(record)}".rstrip()


@contextmanager
def _progress_teller(out: TextIO) -> Iterator[Teller]:
    """Bars for what goes on, lines above them for what happened."""
    console = Console(file=out)
    progress = Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:.0f}/{task.total:.0f}  {task.fields[note]}"),
        console=console,
    )
    bars: dict[str, TaskID] = {}

    def tell(status: SessionStatus, records: list[Record]) -> None:
        for record in records:
            if _is_news(record):
                console.print(line_of(record), highlight=False, markup=False)
        under_way = _bars(status)
        for name, (done, total, note) in under_way.items():
            if name not in bars:
                bars[name] = progress.add_task(name, total=total, note=note)
            progress.update(bars[name], completed=done, total=total, note=note)
        for job in [name for name in bars if name.startswith(JOB) and name not in under_way]:
            progress.update(bars[job], completed=100.0, note="done")

    with progress:
        yield tell


def _is_news(record: Record) -> bool:
    """Whether the bars do not show it already."""
    shown = (*words.FREQUENT, FrameRecorded, Showered)
    return words.is_news(record) and not isinstance(record.event, shown)


def _bars(status: SessionStatus) -> dict[str, tuple[float, float, str]]:
    """What is under way: name -> done, total, note."""
    bars: dict[str, tuple[float, float, str]] = {}
    if status.showers:
        newest = status.showers[-1]
        bars["shower/s"] = newest.elapsed_s, newest.planned_s, words.angle(newest)
    for name, series in status.series.items():
        if series.tilts:
            note = _series_note(status) if status.phase is Phase(name) else ""
            bars[f"series {name}"] = len(series.tilts), series.planned, note
    for job, progress in status.processing.items():
        if job.startswith("live"):
            continue  # the bar of its series says as much
        bars[f"{JOB}{job}"] = 100 * progress.fraction, 100.0, progress.stage
    return bars


def _series_note(status: SessionStatus) -> str:
    tilt = status.newest_tilt
    if tilt is None or status.alpha_deg is None:
        return ""
    return (
        f"{status.alpha_deg:+.1f}°  left {words.duration(status.left_s)}"
        f"  shift {tilt.shift_px:.1f} px  dose {words.dose(status)}  {status.operator_state.value}"
    )
