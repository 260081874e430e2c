"""Status reducer: one pure function for each kind of event, in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller.model.events import (
    Advised,
    Alerted,
    BeamChanged,
    Checked,
    Counted,
    Event,
    FlipChecked,
    FrameRecorded,
    FrameWithdrawn,
    PauseAsked,
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
    StateChanged,
    TiltJudged,
    TiltMissed,
)
from controller.service import series_changes, session_changes
from controller.service.operator_state import operator_state
from controller.service.session_changes import Changes
from controller.service.session_status import SessionStatus


def next_status(status: SessionStatus, record: Record) -> SessionStatus:
    """Return the status after one more event.

    A record that is already in the status (its `seq` is not newer) changes nothing, so a reader
    may read records twice.
    """
    if record.seq <= status.seq:
        return status
    changes = _REDUCERS[type(record.event)](status, record.event, record)
    changed = status.model_copy(update={**changes, "seq": record.seq, "at": record.at})
    state, reason = operator_state(changed)
    return changed.model_copy(update={"operator_state": state, "operator_reason": reason})


Reducer = Callable[[SessionStatus, Any, Record], Changes]


def _event_only(change: Callable[[SessionStatus, Any], Changes]) -> Reducer:
    """Adapt a function that needs neither the number nor the time of the record."""
    return lambda status, event, _: change(status, event)


_REDUCERS: dict[type[Event], Reducer] = {
    SessionStarted: session_changes.session_started,
    StateChanged: _event_only(session_changes.state_changed),
    PauseAsked: _event_only(session_changes.pause_asked),
    PhaseStarted: _event_only(session_changes.phase_started),
    PhaseFinished: _event_only(session_changes.phase_finished),
    Checked: _event_only(session_changes.checked),
    ShowerSliceStarted: session_changes.shower_slice_started,
    Showered: _event_only(session_changes.showered),
    BeamChanged: _event_only(session_changes.beam_changed),
    FrameRecorded: _event_only(series_changes.frame_recorded),
    FrameWithdrawn: _event_only(series_changes.frame_withdrawn),
    TiltMissed: _event_only(series_changes.tilt_missed),
    SeriesEndedEarly: _event_only(series_changes.series_ended_early),
    Alerted: session_changes.alerted,
    PromptOpened: session_changes.prompt_opened,
    PromptAnswered: _event_only(session_changes.prompt_answered),
    FlipChecked: session_changes.flip_checked,
    ProcessingProgressed: _event_only(series_changes.processing_progressed),
    TiltJudged: _event_only(series_changes.tilt_judged),
    Counted: _event_only(series_changes.counted),
    Advised: _event_only(series_changes.advised),
    PreviewReady: session_changes.preview_ready,
    ProcessingFailed: _event_only(series_changes.processing_failed),
    ReportWritten: _event_only(session_changes.report_written),
}
