"""Changes of the status by events of a tilt series and its processing: frames, counts, advice."""

from __future__ import annotations

import math

from controller.model.base import Which
from controller.model.events import (
    Advised,
    Counted,
    FrameRecorded,
    FrameWithdrawn,
    ProcessingFailed,
    ProcessingProgressed,
    SeriesEndedEarly,
    TiltJudged,
    TiltMissed,
)
from controller.model.processing_jobs import JobName
from controller.service.session_changes import Changes
from controller.service.session_status import CountPoint, CountStatus, SessionStatus, TiltStatus

_JOB_OF_FINAL_COUNT: dict[Which, JobName] = {
    "A": JobName.A,
    "B": JobName.B,
    "fused": JobName.FUSE,
}
"""Job that ends with the final count of a volume."""


def frame_recorded(status: SessionStatus, event: FrameRecorded) -> Changes:
    """Add a frame; it replaces an earlier one of the same tilt."""
    name = event.frame.series
    others = _without(status.series[name].tilts, event.frame.tilt_number)
    series = status.series[name].model_copy(
        update={
            "tilts": (*others, TiltStatus(frame=event.frame)),
            "planned": event.planned,
            "tilts_left": event.tilts_left,
            "ended_early": _still_ended(status.series[name].ended_early, event.tilts_left),
            "final_residual_px": None,
        }
    )
    return {
        "series": {**status.series, name: series},
        "current_series": name,
        "alpha_deg": event.frame.nominal_deg,
        "dose_e_per_A2": event.dose_e_per_A2,
        "left_s": event.left_s,
    }


def frame_withdrawn(status: SessionStatus, event: FrameWithdrawn) -> Changes:
    """Remove a frame; its tilt is to be recorded again."""
    tilts = _without(status.series[event.series].tilts, event.tilt_number)
    left = status.series[event.series].tilts_left
    changed = {"tilts": tilts, "tilts_left": None if left is None else left + 1}
    series = status.series[event.series].model_copy(update=changed)
    return {"series": {**status.series, event.series: series}}


def tilt_missed(status: SessionStatus, event: TiltMissed) -> Changes:
    """Set the number of tilts left after a skipped one."""
    series = status.series[event.series].model_copy(update={"tilts_left": event.tilts_left})
    return {"series": {**status.series, event.series: series}}


def series_ended_early(status: SessionStatus, event: SeriesEndedEarly) -> Changes:
    """End a series before its last planned tilt."""
    ended = {"tilts_left": 0, "ended_early": event}
    series = status.series[event.series].model_copy(update=ended)
    return {"series": {**status.series, event.series: series}}


def _still_ended(ended: SeriesEndedEarly | None, tilts_left: int) -> SeriesEndedEarly | None:
    """Return the early end; None if the operator has the rest recorded after all."""
    return ended if tilts_left == 0 else None


def _without(tilts: tuple[TiltStatus, ...], tilt_number: int) -> tuple[TiltStatus, ...]:
    return tuple(tilt for tilt in tilts if tilt.frame.tilt_number != tilt_number)


def tilt_judged(status: SessionStatus, event: TiltJudged) -> Changes:
    """Set residual and shift of an aligned frame."""
    series = status.series[event.series]
    aligned = {
        "residual_px": event.residual_px,
        "aligned_shift_px": math.hypot(*event.shift_px),
    }
    tilts = tuple(
        tilt.model_copy(update=aligned) if tilt.frame.section == event.section else tilt
        for tilt in series.tilts
    )
    return {"series": {**status.series, event.series: series.model_copy(update={"tilts": tilts})}}


def counted(status: SessionStatus, event: Counted) -> Changes:
    """Add a count; a live count that comes after the final one is ignored."""
    point = CountPoint(
        tilts_used=event.tilts_used,
        n=event.n,
        n_low=event.n_low,
        n_high=event.n_high,
        verdict=event.verdict,
    )
    known = status.counts.get(event.which)
    if event.live and known is not None and not known.live:
        return {}
    earlier = known.points if known is not None else ()
    count = CountStatus(
        points=(*(p for p in earlier if p.tilts_used < point.tilts_used or not event.live), point),
        live=event.live,
        diameter_nm=event.diameter_nm or (known.diameter_nm if known is not None else None),
        structure=event.structure,
    )
    done = _JOB_OF_FINAL_COUNT.get(event.which) if not event.live else None
    running = {job: progress for job, progress in status.processing.items() if job != done}
    counts = {**status.counts, event.which: count}
    return {"counts": counts, "processing": running, **_final_residual(status, event)}


def _final_residual(status: SessionStatus, event: Counted) -> Changes:
    """Set the residual of the final alignment of a series."""
    name = event.which
    if event.final_residual_px is None or name not in ("A", "B"):
        return {}
    aligned = {"final_residual_px": event.final_residual_px}
    series = status.series[name].model_copy(update=aligned)
    return {"series": {**status.series, name: series}}


def advised(status: SessionStatus, event: Advised) -> Changes:
    """Set the newest advice on a topic of a series, or on one tilt."""
    about = (event.series, event.topic, event.tilt_number)
    others = [
        known for known in status.advice if (known.series, known.topic, known.tilt_number) != about
    ]
    return {"advice": (*others, event)}


def processing_progressed(status: SessionStatus, event: ProcessingProgressed) -> Changes:
    """Set the progress of a job; only a live reconstruction knows the frames behind."""
    others = {job: known for job, known in status.processing.items() if job != event.job}
    running = {**others, event.job: event} if event.fraction < 1 else others
    behind = event.behind if event.job.is_live else status.behind
    return {"processing": running, "behind": behind}


def processing_failed(status: SessionStatus, event: ProcessingFailed) -> Changes:
    """Add a failure once, and end its job."""
    running = {job: known for job, known in status.processing.items() if job != event.job}
    others = tuple(known for known in status.failures if known != event)
    return {"failures": (*others, event), "processing": running}
