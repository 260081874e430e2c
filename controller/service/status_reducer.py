"""Status reducer: one pure function for each kind of event, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from controller.model.base import SeriesName, Which
from controller.model.events import (
    ENDED,
    Advised,
    Alerted,
    BeamChanged,
    Checked,
    Counted,
    Event,
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
from controller.model.prompts import PromptId
from controller.service.operator_state import operator_state
from controller.service.status import (
    ALERTS_KEPT,
    AlertStatus,
    BeamStatus,
    CountPoint,
    CountStatus,
    PhaseState,
    Preview,
    SessionStatus,
    ShowerSlice,
    TiltStatus,
)

CHECKED_PHASES = (Phase.PREFLIGHT, Phase.FLIP)
"""Each begins a check list of its own."""
CARRIES_ON = (State.RUNNING, State.STOPPING)
"""What is under way goes on."""
_JOB_OF_FINAL_COUNT: dict[Which, str] = {"A": "A", "B": "B", "fused": "fuse"}
"""The count is the last a job says."""
LIVE_JOBS = ("live-A", "live-B")
Changes = dict[str, Any]
"""Fields of the status and their new values."""


def next_status(status: SessionStatus, record: Record) -> SessionStatus:
    """Return the status after one more event.

    A record that is already in the status (its `seq` is not newer) changes nothing, so a reader
    may read records twice.
    """
    if record.seq <= status.seq:
        return status
    changes = _REDUCERS[type(record.event)](status, record)
    changed = status.model_copy(update={**changes, "seq": record.seq, "at": record.at})
    state, reason = operator_state(changed)
    return changed.model_copy(update={"operator_state": state, "operator_reason": reason})


def _started(status: SessionStatus, record: Record, event: SessionStarted) -> Changes:
    tilts: dict[SeriesName, tuple[float, ...]] = {"A": event.tilts_a_deg, "B": event.tilts_b_deg}
    series = {
        name: status.series[name].model_copy(
            update={"planned_tilts_deg": tilts[name], "planned": len(tilts[name])}
        )
        for name in tilts
    }
    told = ("name", "folder", "microscope", "simulated", "resumed", "planned_s")
    doses = ("planned_dose_e_per_A2", "dose_budget_e_per_A2")
    # a resumed session is asked and judged anew, and in no phase yet
    return {
        **{field: getattr(event, field) for field in told + doses},
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


def _state(status: SessionStatus, event: StateChanged) -> Changes:
    ended = event.state in ENDED
    return {
        "state": event.state,
        "reason": event.reason,
        "prompt": None if ended else status.prompt,
        "pausing": status.pausing and not ended,
        "standing_alarm": "" if event.state is State.RUNNING else status.standing_alarm,
        "shower_slice": status.shower_slice if event.state in CARRIES_ON else None,
    }


def _pause_asked(_: SessionStatus, event: PauseAsked) -> Changes:
    return {"pausing": event.waiting}


def _phase_started(status: SessionStatus, event: PhaseStarted) -> Changes:
    # what went on before is over, even where a crash kept it from saying so
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


def _phase_finished(status: SessionStatus, event: PhaseFinished) -> Changes:
    done = {**status.phases, event.phase: PhaseState.DONE}
    return {"phases": done, "left_s": None, "shower_slice": None}


def _checked(status: SessionStatus, event: Checked) -> Changes:
    others = tuple(check for check in status.checks if check.name != event.name)
    return {"checks": (*others, event)}


def _slice_started(_: SessionStatus, record: Record, event: ShowerSliceStarted) -> Changes:
    return {"shower_slice": ShowerSlice(started_at=record.at, duration_s=event.duration_s)}


def _showered(status: SessionStatus, event: Showered) -> Changes:
    return {
        "showers": (*status.showers, event),
        "shower_slice": None,
        "alpha_deg": event.alpha_deg,
        "dose_e_per_A2": event.dose_e_per_A2,
        "left_s": max(0.0, event.planned_s - event.elapsed_s),
    }


def _beam(_: SessionStatus, event: BeamChanged) -> Changes:
    return {"beam": BeamStatus(blanked=event.blanked, current_pA=event.current_pA)}


def _frame(status: SessionStatus, event: FrameRecorded) -> Changes:
    name = event.frame.series
    others = _without(status.series[name].tilts, event.frame.tilt_number)
    series = status.series[name].model_copy(
        update={
            "tilts": (*others, TiltStatus(frame=event.frame)),
            "planned": event.planned,
            "tilts_left": event.tilts_left,
        }
    )
    return {
        "series": {**status.series, name: series},
        "current_series": name,
        "alpha_deg": event.frame.nominal_deg,
        "dose_e_per_A2": event.dose_e_per_A2,
        "left_s": event.left_s,
    }


def _withdrawn(status: SessionStatus, event: FrameWithdrawn) -> Changes:
    tilts = _without(status.series[event.series].tilts, event.tilt_number)
    left = status.series[event.series].tilts_left
    changed = {"tilts": tilts, "tilts_left": None if left is None else left + 1}
    series = status.series[event.series].model_copy(update=changed)
    return {"series": {**status.series, event.series: series}}


def _missed(status: SessionStatus, event: TiltMissed) -> Changes:
    series = status.series[event.series].model_copy(update={"tilts_left": event.tilts_left})
    return {"series": {**status.series, event.series: series}}


def _without(tilts: tuple[TiltStatus, ...], tilt_number: int) -> tuple[TiltStatus, ...]:
    return tuple(tilt for tilt in tilts if tilt.frame.tilt_number != tilt_number)


def _judged(status: SessionStatus, event: TiltJudged) -> Changes:
    series = status.series[event.series]
    judged = {
        "residual_px": event.residual_px,
        "aligned_shift_px": math.hypot(*event.shift_px),
    }
    tilts = tuple(
        tilt.model_copy(update=judged) if tilt.frame.section == event.section else tilt
        for tilt in series.tilts
    )
    return {"series": {**status.series, event.series: series.model_copy(update={"tilts": tilts})}}


def _counted(status: SessionStatus, event: Counted) -> Changes:
    point = CountPoint(
        tilts_used=event.tilts_used, n=event.n, n_low=event.n_low, n_high=event.n_high
    )
    known = status.counts.get(event.which)
    if event.live and known is not None and not known.live:
        return {}  # a live count that was overtaken by the final one
    earlier = known.points if known is not None else ()
    count = CountStatus(
        points=(*(p for p in earlier if p.tilts_used < point.tilts_used or not event.live), point),
        live=event.live,
        diameter_nm=event.diameter_nm or (known.diameter_nm if known is not None else None),
    )
    done = _JOB_OF_FINAL_COUNT.get(event.which) if not event.live else None
    under_way = {job: known for job, known in status.processing.items() if job != done}
    return {"counts": {**status.counts, event.which: count}, "processing": under_way}


def _advised(status: SessionStatus, event: Advised) -> Changes:
    about = (event.series, event.topic, event.tilt_number)
    others = [
        known for known in status.advice if (known.series, known.topic, known.tilt_number) != about
    ]
    return {"advice": (*others, event)}


def _opened(_: SessionStatus, record: Record, event: PromptOpened) -> Changes:
    return {"prompt": event.prompt, "prompt_seq": record.seq}


def _answered(status: SessionStatus, event: PromptAnswered) -> Changes:
    still_open = status.prompt is not None and status.prompt.id != event.prompt_id
    # once hands have acted, what was seen of the grid before says nothing any more
    before = {"checks": (), "flip_check": None} if event.prompt_id is PromptId.FLIP else {}
    return {"prompt": status.prompt if still_open else None, **before}


def _flip_checked(_: SessionStatus, event: FlipChecked) -> Changes:
    return {"flip_check": event}


def _progressed(status: SessionStatus, event: ProcessingProgressed) -> Changes:
    others = {job: known for job, known in status.processing.items() if job != event.job}
    under_way = {**others, event.job: event} if event.fraction < 1 else others
    live = event.job in LIVE_JOBS  # no other job knows how far behind the live view is
    return {"processing": under_way, "behind": event.behind if live else status.behind}


def _preview(status: SessionStatus, record: Record, event: PreviewReady) -> Changes:
    preview = Preview(seq=record.seq, path=event.path, caption=event.caption)
    return {"previews": {**status.previews, event.view: preview}}


def _processing_failed(status: SessionStatus, event: ProcessingFailed) -> Changes:
    under_way = {job: known for job, known in status.processing.items() if job != event.job}
    others = tuple(known for known in status.failures if known != event)  # said again: no news
    return {"failures": (*others, event), "processing": under_way}


def _report(_: SessionStatus, event: ReportWritten) -> Changes:
    return {"report": event.path}


def _alerted(status: SessionStatus, record: Record, event: Alerted) -> Changes:
    alert = AlertStatus(seq=record.seq, at=record.at, alert=event)
    standing = event.text if event.level is Level.ALARM else status.standing_alarm
    return {"alerts": (*status.alerts, alert)[-ALERTS_KEPT:], "standing_alarm": standing}


Reducer = Callable[[SessionStatus, Record], Changes]


def _of_event(change: Callable[[SessionStatus, Any], Changes]) -> Reducer:
    return lambda status, record: change(status, record.event)


def _of_record(change: Callable[[SessionStatus, Record, Any], Changes]) -> Reducer:
    return lambda status, record: change(status, record, record.event)


_REDUCERS: dict[type[Event], Reducer] = {
    SessionStarted: _of_record(_started),
    StateChanged: _of_event(_state),
    PauseAsked: _of_event(_pause_asked),
    PhaseStarted: _of_event(_phase_started),
    PhaseFinished: _of_event(_phase_finished),
    Checked: _of_event(_checked),
    ShowerSliceStarted: _of_record(_slice_started),
    Showered: _of_event(_showered),
    BeamChanged: _of_event(_beam),
    FrameRecorded: _of_event(_frame),
    FrameWithdrawn: _of_event(_withdrawn),
    TiltMissed: _of_event(_missed),
    Alerted: _of_record(_alerted),
    PromptOpened: _of_record(_opened),
    PromptAnswered: _of_event(_answered),
    FlipChecked: _of_event(_flip_checked),
    ProcessingProgressed: _of_event(_progressed),
    TiltJudged: _of_event(_judged),
    Counted: _of_event(_counted),
    Advised: _of_event(_advised),
    PreviewReady: _of_record(_preview),
    ProcessingFailed: _of_event(_processing_failed),
    ReportWritten: _of_event(_report),
}
