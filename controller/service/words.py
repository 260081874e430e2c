"""Status and events in words: the same on the screen, in the log and on a plain terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
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
    SessionStarted,
    Showered,
    ShowerSliceStarted,
    State,
    StateChanged,
    TiltJudged,
    TiltMissed,
)
from controller.model.frames import tilt_name
from controller.model.prompts import Prompt
from controller.service.status import CountPoint, CountStatus, SessionStatus

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
"""Read without colour."""
FREQUENT = (TiltJudged, ProcessingProgressed, BeamChanged, ShowerSliceStarted)
"""Would drown the rest where lines are few; the log has them."""
PAUSING = "pausing after the step under way"


def duration(seconds: float | None) -> str:
    """0:34, 12:07 or 1:02:45; a dash where it is not known."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def kilo_dose(dose_e_per_A2: float) -> str:
    """In thousands of electrons per square angstrom, the unit left out."""
    return f"{dose_e_per_A2 / 1000:.1f}".removesuffix(".0")


def count(point: CountPoint | Counted) -> str:
    """A count with its interval: 5830 ± 60, or 5830 (5700-5850) where it is lopsided."""
    below, above = point.n - point.n_low, point.n_high - point.n
    if abs(below - above) <= 0.1 * (below + above) + 1:
        return f"{point.n} ± {round((below + above) / 2)}"
    return f"{point.n} ({point.n_low}–{point.n_high})"


def count_so_far(known: CountStatus) -> str:
    """The newest count with its interval; that it is too early where that would say nothing."""
    too_early = known.live and known.latest.is_wide
    return "too early to say" if too_early else count(known.latest)


def clock(at: str) -> str:
    """Time of day of a record: 19:02:11."""
    return at[11:19]


def dose(status: SessionStatus) -> str:
    """Spent, planned in all, and the budget, beyond which nothing is exposed."""
    spent, planned = kilo_dose(status.dose_e_per_A2), kilo_dose(status.planned_dose_e_per_A2)
    budget = status.dose_budget_e_per_A2
    allowed = f", {kilo_dose(budget)} max" if budget else ""
    return f"{spent} ke/Å² of {planned} planned{allowed}"


def behind(status: SessionStatus) -> str:
    """How far processing is behind the recording: frames, and what they took to record."""
    n, name = status.frames_behind, status.current_series
    if n < 2 or name is None or not status.left_s:
        return f"{n} behind"
    series = status.series[name]
    tilt_s = status.left_s / max(1, series.planned - len(series.tilts))
    return f"{n} behind ({n * tilt_s:.0f} s)"


def angle(shower: Showered) -> str:
    """Which angle of the shower, of how many: +30°  4 of 5."""
    of = f"  {shower.angle} of {shower.angles}" if shower.angles else ""
    return f"{shower.alpha_deg:+.0f}°{of}"


def size_change(showers: tuple[Showered, ...]) -> str:
    """By how much the size has changed between the last two looks at the same angle."""
    looks = [shower for shower in showers if shower.size_nm]
    changes = [
        f"{now.size_nm / before.size_nm - 1:+.1%} at {now.alpha_deg:+.0f}°"
        for before, now in pairwise(looks)
        if before.size_nm and now.size_nm and before.alpha_deg == now.alpha_deg
    ]
    return changes[-1] if changes else ""


def drift(shower: Showered) -> str:
    """How far, and how fast; nothing where it is not known."""
    if shower.drift_nm is None or shower.drift_nm_per_s is None:
        return ""
    return f"{shower.drift_nm:.1f} nm, {shower.drift_nm_per_s:.2g} nm/s"


def beam(status: SessionStatus) -> str:
    """On or blanked, and the current."""
    if status.beam is None:
        return "beam –"
    return f"beam {'blanked' if status.beam.blanked else 'ON'} {status.beam.current_pA:.0f} pA"


def flip_pose(event: FlipChecked) -> str:
    """How the grid came back: turned, tilted in its seat, off the middle."""
    off_nm = math.hypot(*event.offset_nm)
    return f"turned {event.in_plane_deg:+.0f}°, seat {event.seat_deg:.1f}°, off {off_nm:.0f} nm"


def flip_change(event: FlipChecked) -> str:
    """What became of the object meanwhile."""
    return f"size {-event.shrinkage:+.1%}, signal {event.signal_ratio - 1:+.1%} against A"


def state(now: State, reason: str) -> str:
    """Return the state and its reason."""
    return f"{now.value}: {reason}" if reason else now.value


def answer_command(prompt: Prompt, choice: str) -> str:
    """What to type elsewhere instead of answering on the screen."""
    reason = ' --reason "…"' if choice in prompt.needs_reason else ""
    return f"dualtilt answer {prompt.id} {choice}{reason}"


def mark(record: Record) -> str:
    """One or two characters that say what kind of line this is."""
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


def is_news(record: Record) -> bool:
    """Whether a reader of the log learns something from this line."""
    match record.event:
        case PreviewReady() | PauseAsked(waiting=False):
            return False
        case _:
            return True


def tell(record: Record) -> str:
    """Return the line of an event, without its time; it ends with the advice it changed."""
    line = _TELLERS[type(record.event)](record.event)
    return line if record.advice is None else f"{line}  [{record.advice.value}]"


def _frame(event: FrameRecorded) -> str:
    frame = event.frame
    again = f", taken {frame.retakes + 1} times" if frame.retakes else ""
    return (
        f"{frame.name}/{event.planned} {frame.nominal_deg:+.1f}°"
        f"  counts {frame.mean_counts:.0f}  shift {math.hypot(*frame.shift_px):.1f} px"
        f"  dose {kilo_dose(event.dose_e_per_A2)} ke/Å²  {frame.verdict}{again}"
    )


def _withdrawn(event: FrameWithdrawn) -> str:
    return f"{tilt_name(event.series, event.tilt_number)} is recorded again; its frame is left out"


def _missed(event: TiltMissed) -> str:
    name = tilt_name(event.series, event.tilt_number)
    return f"{name} {event.nominal_deg:+.1f}° skipped: {event.reason}"


def _session(event: SessionStarted) -> str:
    again = "resumed" if event.resumed else "started"
    tilts = f"{len(event.tilts_a_deg)} + {len(event.tilts_b_deg)} tilts"
    return (
        f"{event.name} {again} on {event.microscope}{' (SIM)' if event.simulated else ''}:"
        f" {tilts}, {duration(event.planned_s)}, dose"
        f" {kilo_dose(event.planned_dose_e_per_A2)} of at most"
        f" {kilo_dose(event.dose_budget_e_per_A2)} ke/Å²"
    )


def _shower(event: Showered) -> str:
    size = f"  size {event.size_nm:.1f} nm" if event.size_nm is not None else ""
    moved = f"  drift {drift(event)}" if drift(event) else ""
    return (
        f"shower {angle(event)}  {duration(event.elapsed_s)} of"
        f" {duration(event.planned_s)}  dose {kilo_dose(event.dose_e_per_A2)} ke/Å²{size}{moved}"
    )


def _counted(event: Counted) -> str:
    so_far = f" after {event.tilts_used} tilts" if event.live else ""
    diameter = f", d {event.diameter_nm:.2f} nm" if event.diameter_nm else ""
    return f"particles {event.which}: {count(event)}{so_far}{diameter}"


def advice(event: Advised) -> str:
    """What the live processing says, for log and screen."""
    if event.tilt_number is None:
        return f"{event.series}: {event.text}"
    return f"{tilt_name(event.series, event.tilt_number)}: {event.text}"


def _flip(event: FlipChecked) -> str:
    word = "accepted" if event.accepted else "REFUSED"
    if not event.compared:
        return f"flip {word}: {event.found}"
    return (
        f"flip {word}: {event.found} (flipped {event.flipped_score:.2f},"
        f" same side up {event.same_side_score:.2f},"
        f" runner-up {event.runner_up_score:.2f}); {flip_pose(event)}; {flip_change(event)}"
    )


def _answered(event: PromptAnswered) -> str:
    reason = f": {event.reason}" if event.reason else ""
    return f"{event.prompt_id} answered {event.value} by {event.by}{reason}"


def _opened(event: PromptOpened) -> str:
    prompt = event.prompt
    choices = " | ".join(prompt.choices)
    return f"{prompt.title}: dualtilt answer {prompt.id} {choices}"


def _alert(event: Alerted) -> str:
    return f"{event.text}{f' ({event.where})' if event.where else ''}"


def _check(event: Checked) -> str:
    return f"{'✓' if event.ok else '✗'} {event.name}: {event.detail}"


def _beam(event: BeamChanged) -> str:
    return f"beam {'blanked' if event.blanked else 'ON'}, {event.current_pA:.0f} pA"


def _progress(event: ProcessingProgressed) -> str:
    return f"{event.job}: {event.stage} {event.fraction:.0%}, {event.behind} frames behind"


def _judged(event: TiltJudged) -> str:
    return f"{tilt_name(event.series, event.tilt_number)} residual {event.residual_px:.2f} px"


def _failure(event: ProcessingFailed) -> str:
    return f"{event.job} {'refused' if event.refused else 'failed'}: {event.reason}"


_TELLERS: dict[type, Callable[[Any], str]] = {
    SessionStarted: _session,
    StateChanged: lambda event: state(event.state, event.reason),
    PauseAsked: lambda event: (
        PAUSING.capitalize() if event.waiting else "the pause waits no longer"
    ),
    PhaseStarted: lambda event: f"{PHASE_NAMES[event.phase]} begins",
    PhaseFinished: lambda event: f"{PHASE_NAMES[event.phase]} done",
    Checked: _check,
    ShowerSliceStarted: lambda event: f"shower on for {duration(event.duration_s)}",
    Showered: _shower,
    BeamChanged: _beam,
    FrameRecorded: _frame,
    FrameWithdrawn: _withdrawn,
    TiltMissed: _missed,
    Alerted: _alert,
    PromptOpened: _opened,
    PromptAnswered: _answered,
    FlipChecked: _flip,
    ProcessingProgressed: _progress,
    TiltJudged: _judged,
    Counted: _counted,
    Advised: advice,
    PreviewReady: lambda event: f"picture {event.view}: {event.caption}",
    ProcessingFailed: _failure,
    ReportWritten: lambda event: f"report written: {event.path}",
}
