"""Phrases for the values of a status, the same on the screen, in the log and in the report."""

from __future__ import annotations

import math
import shlex
from itertools import pairwise

from controller.model.count_verdict import Trust
from controller.model.events import Counted, FlipChecked, OperatorState, Showered, State
from controller.model.prompts import Prompt
from controller.service.session_status import CountPoint, CountStatus, SessionStatus, TiltStatus

PAUSING = "pausing after the current step"
OPERATOR_MARKS = {
    OperatorState.GOOD: "✓",
    OperatorState.YOUR_TURN: "?",
    OperatorState.WAIT: "…",
    OperatorState.STOP_AT_END: "▲",
    OperatorState.STOP_NOW: "■",
}
"""Signs of the advice to the operator, readable without colour."""


def duration(seconds: float | None) -> str:
    """Return 0:34, 12:07 or 1:02:45; a dash if the duration is unknown."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def kilo_dose(dose_e_per_A2: float) -> str:
    """Return the dose in thousands of electrons per square angstrom, without the unit."""
    return f"{dose_e_per_A2 / 1000:.1f}".removesuffix(".0")


def count(point: CountPoint | Counted) -> str:
    """Return a count with its interval: 5830 ± 60, or 5830 (5700-5850) if it is asymmetric.

    A doubtful count has no interval, and a refused one no number.
    """
    if point.verdict is not None and point.verdict.state is Trust.REFUSED:
        return "refused"
    if point.verdict is not None and point.verdict.state is Trust.DOUBTFUL:
        return f"{point.n} doubtful"
    below, above = point.n - point.n_low, point.n_high - point.n
    if abs(below - above) <= 0.1 * (below + above) + 1:
        return f"{point.n} ± {round((below + above) / 2)}"
    return f"{point.n} ({point.n_low}–{point.n_high})"


def count_so_far(known: CountStatus) -> str:
    """Return the newest count with its interval; "too early to say" if a live one is too wide."""
    too_early = known.live and known.latest.is_wide
    return "too early to say" if too_early else count(known.latest)


def dose(status: SessionStatus) -> str:
    """Return the dose spent, the dose planned in all, and the budget that is never exceeded.

    Retakes and repeated tracking shots are not planned: what they take beyond the plan is shown.
    """
    spent, planned = kilo_dose(status.dose_e_per_A2), kilo_dose(status.planned_dose_e_per_A2)
    budget = status.dose_budget_e_per_A2
    allowed = f", {kilo_dose(budget)} max" if budget else ""
    beyond = kilo_dose(max(0.0, status.dose_e_per_A2 - status.planned_dose_e_per_A2))
    if status.planned_dose_e_per_A2 and beyond != "0":
        return f"{spent} ke/Å², {beyond} over plan{allowed}"
    return f"{spent} ke/Å² of {planned} planned{allowed}"


def shift(status: SessionStatus, tilt: TiltStatus) -> str:
    """Return the shift of a tilt in nm; in pixels if their width is unknown."""
    frame = status.previews.get("frame")
    if frame is None or frame.pixel_nm is None:
        return f"{tilt.shift_px:.1f} px"
    return f"{tilt.shift_px * frame.pixel_nm:.1f} nm"


def frames_behind(status: SessionStatus) -> str:
    """Return the number of frames not processed yet, and the time they took to record."""
    n, name = status.frames_behind, status.current_series
    if n < 2 or name is None or not status.left_s:
        return f"{n} behind"
    series = status.series[name]
    tilt_s = status.left_s / max(1, series.planned - len(series.tilts))
    return f"{n} behind ({n * tilt_s:.0f} s)"


def shower_angle(shower: Showered) -> str:
    """Return the tilt of the shower and its number among the angles: +30°  4 of 5."""
    of = f"  {shower.angle} of {shower.angles}" if shower.angles else ""
    return f"{shower.alpha_deg:+.0f}°{of}"


def size_change(showers: tuple[Showered, ...]) -> str:
    """Return the change of size between the last two images at the same angle."""
    sized = [shower for shower in showers if shower.size_nm]
    changes = [
        f"{after.size_nm / before.size_nm - 1:+.1%} at {after.alpha_deg:+.0f}°"
        for before, after in pairwise(sized)
        if before.size_nm and after.size_nm and before.alpha_deg == after.alpha_deg
    ]
    return changes[-1] if changes else ""


def shower_drift(shower: Showered) -> str:
    """Return the drift and its speed; empty if they are unknown."""
    if shower.drift_nm is None or shower.drift_nm_per_s is None:
        return ""
    return f"{shower.drift_nm:.1f} nm, {shower.drift_nm_per_s:.2g} nm/s"


def beam(status: SessionStatus) -> str:
    """Return whether the beam is on or blanked, and its current."""
    if status.beam is None:
        return "beam not known"
    return f"beam {'blanked' if status.beam.blanked else 'ON'} {status.beam.current_pA:.0f} pA"


def flip_pose(event: FlipChecked) -> str:
    """Return the pose of the flipped grid: in-plane rotation, residual tilt, offset."""
    off_nm = math.hypot(*event.offset_nm)
    return (
        f"in-plane rotation {event.in_plane_deg:+.0f}°, residual tilt {event.seat_deg:.1f}°,"
        f" offset {off_nm:.0f} nm"
    )


def flip_change(event: FlipChecked) -> str:
    """Return the change of the object's size and signal since series A."""
    return f"size {-event.shrinkage:+.1%}, signal {event.signal_ratio - 1:+.1%} against A"


def state_word(state: State) -> str:
    """Return the state of the engine in a word or two."""
    return "asks you" if state is State.WAITING else state.value


def state_and_reason(state: State, reason: str) -> str:
    """Return the state of the engine and its reason."""
    return f"{state_word(state)}: {reason}" if reason else state_word(state)


def operator_advice(status: SessionStatus) -> str:
    """Return the advice to the operator with its sign: ▲ STOP AT END."""
    advice = status.operator_state
    return f"{OPERATOR_MARKS[advice]} {advice.value}"


def answer_command(prompt: Prompt, choice: str) -> str:
    """Return the command that gives the same answer from a terminal."""
    return f"dualtilt answer {prompt.id} {answer_words(prompt, choice)}{session_option(prompt)}"


def answer_words(prompt: Prompt, choice: str) -> str:
    """Return a choice as `dualtilt answer` takes it, with the reason that it needs."""
    return f'{choice} --reason "…"' if choice in prompt.needs_reason else choice


def go_on_command(session: str) -> str:
    """Return the command that ends a pause; `session` is the folder that it has to name, or ''."""
    return f"dualtilt pause{folder_argument(session)} --go-on"


def folder_argument(session: str) -> str:
    """Return the folder of a session as a command takes it; empty if it runs alone."""
    return f" {shlex.quote(session)}" if session else ""


def session_option(prompt: Prompt) -> str:
    """Return the option that names the session of a prompt; empty if it runs alone."""
    return f" --session {shlex.quote(prompt.session)}" if prompt.session else ""
