"""Sections on the session: frames and dose, warnings and answers, settings, files."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from controller.common.open_inside import open_inside
from controller.model.base import SeriesName
from controller.model.count_verdict import CountVerdict, Trust
from controller.model.events import (
    ENDED,
    Alerted,
    Checked,
    Counted,
    Event,
    FlipChecked,
    FrameRecorded,
    FrameWithdrawn,
    ProcessingFailed,
    PromptAnswered,
    Record,
    SeriesEndedEarly,
    SessionStarted,
    State,
    StateChanged,
    TiltMissed,
)
from controller.model.frames import FrameVerdict
from controller.model.sections.series import SeriesSettings
from controller.report.html import MISSING, NO_BREAK, details, number, section, table, text
from controller.report.report_data import ReportData
from controller.service import event_text

OPENED_BY = {
    ".mrc": "IMOD, Fiji, ChimeraX, Dragonfly, HyperSpy",
    ".mdoc": "SerialEM, IMOD, any text editor",
    ".rawtlt": "IMOD, any text editor",
    ".csv": "any spreadsheet, pandas",
    ".xyz": "OVITO, ASE, VESTA",
    ".json": "any text editor",
    ".jsonl": "any text editor",
    ".toml": "any text editor; dualtilt plan, run",
}
"""Programs that open a file, by its suffix; files with other suffixes are not listed."""


RUN_LOST = (
    "the session's process was lost after this: killed, a crash or a power cut; "
    "`dualtilt resume` continued the session"
)


def recording(data: ReportData) -> str:
    """Return the number of frames and the dose."""
    status = data.status
    rows = [
        [
            f"series {name}",
            f"{len(series.tilts)} of {series.planned}",
            number(_retaken(data, name)),
            number(sum(tilt.frame.verdict is not FrameVerdict.OK for tilt in series.tilts)),
        ]
        for name, series in status.series.items()
        if series.tilts
    ]
    budget = number(status.dose_budget_e_per_A2, ",.0f", "e/Å²")
    lead = f"Total dose {number(status.dose_e_per_A2)} of {budget}." if rows else ""
    ended = [series.ended_early for series in status.series.values() if series.ended_early]
    early = "".join(f"<p>{text(_early_end(event))}.</p>" for event in ended)
    head = ("", "tilts recorded", "retaken", "flagged")
    return section("Recording", table(head, rows), early, lead=lead)


def _early_end(event: SeriesEndedEarly) -> str:
    """Return how a series ended early, as a sentence."""
    line = event_text.series_ended_line(event)
    return line[0].upper() + line[1:]


def _retaken(data: ReportData, series: SeriesName) -> int:
    """Count the retakes of a series: for quality, and on the operator's request."""
    events = [record.event for record in data.records]
    requested = sum(isinstance(e, FrameWithdrawn) and e.series == series for e in events)
    frames = [e.frame for e in events if isinstance(e, FrameRecorded) and e.frame.series == series]
    return requested + sum(frame.retakes for frame in frames)


def warnings_and_answers(data: ReportData) -> str:
    """Return warnings, answers, and overrides with their reasons."""
    warnings = [*map(str, data.summary.get("warnings") or [])]
    warnings += [f"processing {f.job}: {f.reason}" for f in data.status.failures]
    answers = [
        (
            _clock(record),
            text(event.prompt_id),
            text(event.value),
            text(event.reason) or MISSING,
            text(event.by),
        )
        for record in data.records
        if isinstance(event := record.event, PromptAnswered)
    ]
    listed = "".join(f"<li>{text(warning)}</li>" for warning in dict.fromkeys(warnings))
    return section(
        "Warnings, answers and overrides",
        f"<ul>{listed}</ul>" if listed else "",
        table(("time", "question", "answer", "reason given", "by"), answers, "words"),
        table(("time", "", "what happened"), list(_course_rows(data.records)), "words"),
    ) or section("Warnings, answers and overrides", "<p>None.</p>")


def _course_rows(records: Sequence[Record]) -> Iterator[tuple[str, str, str]]:
    """Give time, sign and text of the session's course; a run that was lost has a line, too."""
    lost_after = _last_of_lost_runs(records)
    for record in _course(records):
        last = lost_after.get(record.seq)
        if last is not None:
            yield (_clock(last), "!!", RUN_LOST)
        yield (
            _clock(record),
            text(event_text.mark(record)),
            text(event_text.event_line(record)),
        )


def _last_of_lost_runs(records: Sequence[Record]) -> dict[int, Record]:
    """Return the last record of each run that was lost, by the number of the next run's start."""
    lost: dict[int, Record] = {}
    ended, last = True, None
    for record in records:
        event = record.event
        if isinstance(event, SessionStarted):
            if last is not None and not ended:
                lost[record.seq] = last
            ended = False
        if not isinstance(event, StateChanged):  # a run begins to run before it is started
            last = record
        elif event.state in ENDED:
            ended = True
    return lost


def _course(records: Sequence[Record]) -> Iterator[Record]:
    """Give the records without which the data cannot be judged, and the end of each pause.

    A count that is published again for the same reasons is given once.
    """
    paused, doubted = False, set()
    for record in records:
        event = record.event
        if isinstance(event, Counted) and event.verdict is not None:
            doubt = event.which, event.live, event.verdict.reasons
            if doubt in doubted:
                continue
            doubted.add(doubt)
        if isinstance(event, StateChanged):
            goes_on = paused and event.state is State.RUNNING
            paused = event.state is State.PAUSED
            if goes_on:
                yield record
        if _changed_the_course(event):
            yield record


def _changed_the_course(event: Event) -> bool:
    """Return True for an event without which the data cannot be judged.

    These are alerts, failed checks, checks of the flip, a stage that was moved to the
    object, repeated and skipped tilts, failed processing, counts that are not trusted, pauses,
    stops, and the start of each run.
    """
    match event:
        case StateChanged(state=state):
            return state in ENDED or state is State.PAUSED
        case Checked(ok=False) | FlipChecked():
            return True
        case Counted(live=False, verdict=CountVerdict(state=state)):
            return state is not Trust.TRUSTED
        case _:
            return isinstance(
                event,
                Alerted | SessionStarted | TiltMissed | SeriesEndedEarly | ProcessingFailed,
            )


def _clock(record: Record) -> str:
    return text(record.at[11:19])


def settings(data: ReportData) -> str:
    """Return the protocol of the session."""
    if data.protocol is None:
        return ""
    given = _given(data)
    rows = [
        (text(name), f"<code>{text(value)}</code>", "protocol" if name in given else "default")
        for name, value in _leaves(data.protocol)
    ]
    scan = data.protocol.scan
    short = (
        f"{scan.width_px} × {scan.height_px} px of {scan.pixel_nm:g} nm, {scan.dwell_us:g} µs; "
        f"A {_span(data.protocol.series_a)}, B {_span(data.protocol.series_b)}; "
        f"{data.protocol.series_a.current_pA:g} pA at {data.protocol.column.voltage_kV:g} kV."
    )
    listing = details("All settings", table(("setting", "value", "source"), rows, "words"))
    return section("Settings", f"<p>{text(short)}</p>", listing)


def _span(series: SeriesSettings) -> str:
    if series.order == "one-way":
        first, last, how = series.tilts_deg[0], series.tilts_deg[-1], ""
    else:
        first, last = min(series.tilts_deg), max(series.tilts_deg)
        how = f", {series.order} from {_degrees(series.tilts_deg[0])}"
    return f"{_degrees(first)} to {_degrees(last)} in {len(series.tilts_deg)} tilts{how}"


def _degrees(angle_deg: float) -> str:
    return f"{angle_deg:+g}°".replace("-", "−")


def _given(data: ReportData) -> set[str]:
    with open_inside(data.folder, "protocol.toml") as file:
        return set(_dotted(tomllib.load(file)))


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterable[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _leaves(model: BaseModel, prefix: str = "") -> Iterable[tuple[str, object]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def files(data: ReportData) -> str:
    """Return the files of the folder and the programs that open them."""
    rows = [
        (
            f'<span class="path">{text(path.relative_to(data.folder).as_posix())}</span>',
            _size(path.stat().st_size),
            OPENED_BY[path.suffix],
        )
        for folder in (data.folder, data.processed)
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and path.suffix in OPENED_BY
    ]
    folder_line = f'Folder: <span class="path">{text(data.folder.resolve())}</span>'
    return section("Files", table(("file", "size", "opened by"), rows, "words"), lead=folder_line)


def _size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g}{NO_BREAK}{unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:.3g}{NO_BREAK}GB"
