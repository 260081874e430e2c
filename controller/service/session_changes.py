"""Changes of the status by events of the session: phases, prompts, shower, beam, alerts."""

from __future__ import annotations

from typing import Any

from controller.model.base import SeriesName
from controller.model.events import (
    ENDED,
    Alerted,
    BeamChanged,
    Checked,
    FlipChecked,
    Level,
    PauseAsked,
    Phase,
    PhaseFinished,
    PhaseStarted,
    PreviewReady,
    PromptAnswered,
    PromptOpened,
    Record,
    ReportWritten,
    SessionStarted,
    Showered,
    ShowerSliceStarted,
    State,
    StateChanged,
)
from controller.model.prompts import PromptId
from controller.service.session_status import (
    ALERTS_KEPT,
    AlertStatus,
    BeamStatus,
    PhaseState,
    Preview,
    SessionStatus,
    ShowerSlice,
)

CHECKED_PHASES = (Phase.PREFLIGHT, Phase.FLIP)
"""Phases that start a new check list."""
STEP_CONTINUES = (State.RUNNING, State.STOPPING)
"""States in which the current step continues."""
Changes = dict[str, Any]
"""Fields of the status and their new values."""


def session_started(status: SessionStatus, event: SessionStarted, record: Record) -> Changes:
    """Take the plan; a resumed session has no prompt, no alarm and no running phase yet."""
    tilts: dict[SeriesName, tuple[float, ...]] = {"A": event.tilts_a_deg, "B": event.tilts_b_deg}
    series = {
        name: status.series[name].model_copy(
            update={"planned_tilts_deg": tilts[name], "planned": len(tilts[name])}
        )
        for name in tilts
    }
    copied = ("name", "folder", "microscope", "simulated", "resumed", "planned_s")
    doses = ("planned_dose_e_per_A2", "dose_budget_e_per_A2")
    return {
        **{field: getattr(event, field) for field in copied + doses},
        "started_seq": record.seq,
        "series": series,
        "phases": {
            phase: PhaseState.PENDING if state is PhaseState.RUNNING else state
            for phase, state in status.phases.items()
        },
        "prompt": None,
        "shower_slice": None,
        "reason": "",
        "standing_alarm": "",
        "pausing": False,
        "exit_code": None,
    }


def state_changed(status: SessionStatus, event: StateChanged) -> Changes:
    """Set the state; the end of the session closes the prompt and a pending pause."""
    ended = event.state in ENDED
    return {
        "state": event.state,
        "reason": event.reason,
        "pause_cause": event.pause_cause,
        "paused_session": event.session,
        "prompt": None if ended else status.prompt,
        "pausing": status.pausing and not ended,
        "standing_alarm": "" if event.state is State.RUNNING else status.standing_alarm,
        "shower_slice": status.shower_slice if event.state in STEP_CONTINUES else None,
    }


def pause_asked(_: SessionStatus, event: PauseAsked) -> Changes:
    """Note whether a pause is pending."""
    return {"pausing": event.waiting}


def phase_started(status: SessionStatus, event: PhaseStarted) -> Changes:
    """Start a phase; earlier phases that a crash left running are done."""
    order = list(Phase)
    at = order.index(event.phase)
    phases = {
        phase: PhaseState.DONE
        if i < at and status.phases[phase] is not PhaseState.PENDING
        else status.phases[phase]
        for i, phase in enumerate(order)
    }
    return {
        "phases": {**phases, event.phase: PhaseState.RUNNING},
        "left_s": None,
        "checks": () if event.phase in CHECKED_PHASES else status.checks,
    }


def phase_finished(status: SessionStatus, event: PhaseFinished) -> Changes:
    """End a phase."""
    done = {**status.phases, event.phase: PhaseState.DONE}
    return {"phases": done, "left_s": None, "shower_slice": None}


def checked(status: SessionStatus, event: Checked) -> Changes:
    """Add a check; it replaces an earlier one of the same name."""
    others = tuple(check for check in status.checks if check.name != event.name)
    return {"checks": (*others, event)}


def shower_slice_started(_: SessionStatus, event: ShowerSliceStarted, record: Record) -> Changes:
    """Start the clock of a slice of the shower."""
    return {"shower_slice": ShowerSlice(started_at=record.at, duration_s=event.duration_s)}


def showered(status: SessionStatus, event: Showered) -> Changes:
    """Add a finished slice of the shower."""
    return {
        "showers": (*status.showers, event),
        "shower_slice": None,
        "alpha_deg": event.alpha_deg,
        "dose_e_per_A2": event.dose_e_per_A2,
        "left_s": max(0.0, event.planned_s - event.elapsed_s),
    }


def beam_changed(_: SessionStatus, event: BeamChanged) -> Changes:
    """Set the beam, and the dose with that of shots which are no frames."""
    beam = {"beam": BeamStatus(blanked=event.blanked, current_pA=event.current_pA)}
    return beam if event.dose_e_per_A2 is None else {**beam, "dose_e_per_A2": event.dose_e_per_A2}


def prompt_opened(_: SessionStatus, event: PromptOpened, record: Record) -> Changes:
    """Open a prompt."""
    return {"prompt": event.prompt, "prompt_seq": record.seq}


def prompt_answered(status: SessionStatus, event: PromptAnswered) -> Changes:
    """Close the prompt; after a flip, checks of the grid from before it are void."""
    another_is_open = status.prompt is not None and status.prompt.id != event.prompt_id
    void = {"checks": (), "flip_check": None} if event.prompt_id is PromptId.FLIP else {}
    return {"prompt": status.prompt if another_is_open else None, **void}


def flip_checked(status: SessionStatus, event: FlipChecked, record: Record) -> Changes:
    """Set the result of the flip check; a refused one is an alert, too."""
    if event.accepted:
        return {"flip_check": event}
    refused = Alerted(level=Level.WARNING, text=f"flip {event.outcome}: {event.found}")
    return {"flip_check": event, **alerted(status, refused, record)}


def preview_ready(status: SessionStatus, event: PreviewReady, record: Record) -> Changes:
    """Set the newest picture of a view."""
    preview = Preview(
        seq=record.seq, path=event.path, caption=event.caption, pixel_nm=event.pixel_nm
    )
    return {"previews": {**status.previews, event.view: preview}}


def report_written(_: SessionStatus, event: ReportWritten) -> Changes:
    """Set the path of the report."""
    return {"report": event.path}


def alerted(status: SessionStatus, event: Alerted, record: Record) -> Changes:
    """Add an alert, or the news; an alarm stands until the session continues."""
    alert = AlertStatus(seq=record.seq, at=record.at, alert=event)
    if event.level is Level.INFO:
        return {"news": alert}
    standing = event.text if event.level is Level.ALARM else status.standing_alarm
    return {"alerts": (*status.alerts, alert)[-ALERTS_KEPT:], "standing_alarm": standing}
