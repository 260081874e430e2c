"""Lines of text for events, the same in the log, on the screen and on a plain terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from controller.model.events import (
    Advised,
    Alerted,
    BeamChanged,
    Checked,
    Counted,
    FlipChecked,
    FrameRecorded,
    FrameWithdrawn,
    Level,
    PauseAsked,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PreviewReady,
    ProcessingFailed,
    ProcessingProgressed,
    PromptAnswered,
    PromptOpened,
    Record,
    ReportWritten,
    SeriesEndedEarly,
    SessionStarted,
    Showered,
    ShowerSliceStarted,
    State,
    StateChanged,
    TiltJudged,
    TiltMissed,
)
from controller.model.frames import tilt_name
from controller.service import status_text

PHASE_NAMES = {
    Phase.PREFLIGHT: "pre-flight",
    Phase.SHOWER: "shower",
    Phase.A: "series A",
    Phase.FLIP: "flip",
    Phase.B: "series B",
    Phase.FUSE: "fuse and count",
    Phase.REPORT: "report",
}
LEVEL_MARKS = {Level.INFO: "i", Level.WARNING: "!", Level.ALARM: "!!"}
"""Signs of an alert's level, readable without colour."""
FREQUENT = (TiltJudged, ProcessingProgressed, BeamChanged, ShowerSliceStarted)
"""Events that would hide the others in a short list; the log shows them."""


def time_of_day(at: str) -> str:
    """Return the time of day of a record: 19:02:11."""
    return at[11:19]


def mark(record: Record) -> str:
    """Return the sign of a line in one or two characters; empty for a plain line."""
    match record.event:
        case Alerted(level=level):
            return LEVEL_MARKS[level]
        case ProcessingFailed():
            return LEVEL_MARKS[Level.ALARM]
        case Checked(ok=False) | FlipChecked(accepted=False):
            return LEVEL_MARKS[Level.WARNING]
        case PromptOpened() | PromptAnswered():
            return "?"
        case _:
            return ""


def is_worth_logging(record: Record) -> bool:
    """Return True if the log shows this record."""
    match record.event:
        case PreviewReady() | PauseAsked(waiting=False):
            return record.advice is not None
        case _:
            return True


def is_headline(record: Record) -> bool:
    """Return True if a short list shows this record: not a frequent one, or new advice."""
    if record.advice is not None:
        return True
    return is_worth_logging(record) and not isinstance(record.event, FREQUENT)


def event_line(record: Record) -> str:
    """Return the line of an event, without its time; it ends with the advice it changed.

    The reason of the advice follows, unless the line says it already.
    """
    line = _LINES[type(record.event)](record.event)
    if record.advice is None:
        return line
    why = "" if record.advice_reason in line else f" {record.advice_reason}"
    return f"{line}  [{record.advice.value}]{why}"


def plain_line(record: Record) -> str:
    """Return a whole line of plain text: time, sign, event, and what ends a pause."""
    line = f"{time_of_day(record.at)} {mark(record):<2} {event_line(record)}".rstrip()
    match record.event:
        case StateChanged(state=State.PAUSED, pause_cause=cause, session=session):
            command = status_text.go_on_command(session)
            if cause is not None and cause.ends_by_itself:
                return f"{line}  (goes on by itself; {command} goes on WITHOUT waiting)"
            return f"{line}  (end the pause: {command})"
        case _:
            return line


def advice_line(event: Advised) -> str:
    """Return the advice of the live processing, with its series or tilt."""
    if event.tilt_number is None:
        return f"{event.series}: {event.text}"
    return f"{tilt_name(event.series, event.tilt_number)}: {event.text}"


def _frame_line(event: FrameRecorded) -> str:
    frame = event.frame
    again = f", taken {frame.retakes + 1} times" if frame.retakes else ""
    off = frame.offset_px
    where = "" if off is None else f"  off centre {math.hypot(*off):.1f} px"
    return (
        f"{frame.name}/{event.planned} {frame.nominal_deg:+.1f}°"
        f"  counts {frame.mean_counts:.0f}{where}"
        f"  dose {status_text.kilo_dose(event.dose_e_per_A2)} ke/Å²  {frame.verdict}{again}"
    )


def _withdrawn_line(event: FrameWithdrawn) -> str:
    name = tilt_name(event.series, event.tilt_number)
    return f"{name} is recorded again; its old frame is not used"


def _missed_line(event: TiltMissed) -> str:
    name = tilt_name(event.series, event.tilt_number)
    return f"{name} {event.nominal_deg:+.1f}° skipped: {event.reason}"


def series_ended_line(event: SeriesEndedEarly) -> str:
    """Return how a series ended early, on which count, and what was saved."""
    more = event.more_tilts
    return (
        f"series {event.series} ends after {event.recorded} of"
        f" {event.recorded + event.left_out} tilts: {more.n} particles ({more.n_low} to"
        f" {more.n_high}), settled; saves {status_text.kilo_dose(event.saved_dose_e_per_A2)} ke/Å²"
        f" and {status_text.duration(event.saved_s)}"
    )


def _session_line(event: SessionStarted) -> str:
    begun = "resumed" if event.resumed else "started"
    tilts = f"{len(event.tilts_a_deg)} + {len(event.tilts_b_deg)} tilts"
    return (
        f"{event.name} {begun} on {event.microscope}{' (SIM)' if event.simulated else ''}:"
        f" {tilts}, {status_text.duration(event.planned_s)}, dose"
        f" {status_text.kilo_dose(event.planned_dose_e_per_A2)} of at most"
        f" {status_text.kilo_dose(event.dose_budget_e_per_A2)} ke/Å²"
        f"{f'; dualtilt {event.version}' if event.version else ''}"
    )


def _pause_line(event: PauseAsked) -> str:
    return status_text.PAUSING.capitalize() if event.waiting else "the pause is no longer pending"


def _shower_line(event: Showered) -> str:
    size = f"  size {event.size_nm:.1f} nm" if event.size_nm is not None else ""
    drift = status_text.shower_drift(event)
    return (
        f"shower {status_text.shower_angle(event)}  {status_text.duration(event.elapsed_s)} of"
        f" {status_text.duration(event.planned_s)}"
        f"  dose {status_text.kilo_dose(event.dose_e_per_A2)} ke/Å²{size}"
        f"{f'  drift {drift}' if drift else ''}"
    )


def _count_line(event: Counted) -> str:
    so_far = f" after {event.tilts_used} tilts" if event.live else ""
    diameter = f", d {event.diameter_nm:.2f} nm" if event.diameter_nm else ""
    reasons = event.verdict.reasons if event.verdict is not None else ()
    why = f"; {reasons[0]}" if reasons else ""
    order = f"; {event.structure}" if event.structure else ""
    final_px = event.final_residual_px
    residual = f"; final residual {final_px:.2g} px" if final_px is not None else ""
    counted = f"particles {event.which}: {status_text.count(event)}{so_far}{diameter}"
    return f"{counted}{residual}{order}{why}"


def _flip_line(event: FlipChecked) -> str:
    if not event.compared:
        return f"flip {event.outcome}: {event.found}"
    return (
        f"flip {event.outcome}: {event.found} (flipped {event.flipped_score:.2f},"
        f" same side up {event.same_side_score:.2f},"
        f" next best {event.runner_up_score:.2f});"
        f" {status_text.flip_pose(event)}; {status_text.flip_change(event)}"
    )


def _answer_line(event: PromptAnswered) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.prompt_id} answered {event.value} by {event.by}{reason}"


def _prompt_line(event: PromptOpened) -> str:
    prompt = event.prompt
    choices = " | ".join(status_text.answer_words(prompt, choice) for choice in prompt.choices)
    session = status_text.session_option(prompt)
    return f"{prompt.title}: dualtilt answer {prompt.id} {choices}{session}"


def alert_line(event: Alerted) -> str:
    """Return the text of an alert with its place."""
    return f"{event.text}{f' ({event.where})' if event.where else ''}"


def _check_line(event: Checked) -> str:
    return f"{'✓' if event.ok else '✗'} {event.name}: {event.detail}"


def _beam_line(event: BeamChanged) -> str:
    return f"beam {'blanked' if event.blanked else 'ON'}, {event.current_pA:.0f} pA"


def _progress_line(event: ProcessingProgressed) -> str:
    behind = f", {event.behind} frames behind" if event.job.is_live else ""
    return f"{event.job}: {event.stage} {int(100 * event.fraction)}%{behind}"


def _residual_line(event: TiltJudged) -> str:
    name = tilt_name(event.series, event.tilt_number)
    if event.residual_px is None:
        return f"{name} aligned; a live residual needs more tilts"
    return f"{name} live residual {event.residual_px:.2f} px"


def _failure_line(event: ProcessingFailed) -> str:
    return f"{event.job} {'refused' if event.refused else 'failed'}: {event.reason}"


_LINES: dict[type, Callable[[Any], str]] = {
    SessionStarted: _session_line,
    StateChanged: lambda event: status_text.state_and_reason(event.state, event.reason),
    PauseAsked: _pause_line,
    PhaseStarted: lambda event: f"{PHASE_NAMES[event.phase]} begins",
    PhaseFinished: lambda event: f"{PHASE_NAMES[event.phase]} done",
    Checked: _check_line,
    ShowerSliceStarted: lambda event: f"shower on for {status_text.duration(event.duration_s)}",
    Showered: _shower_line,
    BeamChanged: _beam_line,
    FrameRecorded: _frame_line,
    FrameWithdrawn: _withdrawn_line,
    TiltMissed: _missed_line,
    SeriesEndedEarly: series_ended_line,
    Alerted: alert_line,
    PromptOpened: _prompt_line,
    PromptAnswered: _answer_line,
    FlipChecked: _flip_line,
    ProcessingProgressed: _progress_line,
    TiltJudged: _residual_line,
    Counted: _count_line,
    Advised: advice_line,
    PreviewReady: lambda event: f"picture {event.view}: {event.caption}",
    ProcessingFailed: _failure_line,
    ReportWritten: lambda event: f"report written: {event.path}",
}
