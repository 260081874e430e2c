"""One tilt: move there, centre the object, expose, judge the frame, write it to disk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.common.errors import SafetyStopError
from controller.hardware.interface import Frame, StageError
from controller.model.events import FrameRecorded, Level, TiltMissed
from controller.model.frames import FrameFacts, FrameVerdict
from controller.model.stage import StagePosition
from controller.model.steps import Tilt, step_name
from controller.procedures.check_rotation import check_rotation
from controller.procedures.context import Context
from controller.procedures.focus import focus_beside
from controller.procedures.judge_frame import FrameJudgement, judge_frame
from controller.procedures.stage.expose_moving import expose_sweep
from controller.procedures.stage.move_to_tilt import SHORT_DEG, move_to_tilt, observed_limit_deg
from controller.procedures.stage.settle import settle
from controller.procedures.tracking.centre import centre_object, keep_centred, limit_px
from controller.procedures.tracking.locate import ObjectLocation, binned, locate_object
from controller.procedures.tracking.predict_centre import predict_centre
from controller.session.entries import TiltSkipped
from processing.images.shift import find_shifts

SHIFT_PIXELS = 128
"""Width to which images are binned to measure the shift shown to the operator."""


@dataclass(frozen=True)
class KeptFrame:
    """Frame kept for a tilt, with its verdict, number of retakes and the object's offset (y, x)."""

    frame: Frame
    verdict: FrameVerdict
    retakes: int
    offset_px: tuple[float, float] | None


def carry_out(step: Tilt, context: Context) -> None:
    """Record the frame of this tilt, or report why it is skipped."""
    recorded = (
        _record_in_motion(step, context) if step.sweep_deg else _record_at_rest(step, context)
    )
    if recorded is None:
        return
    frame, verdict = recorded.frame, recorded.verdict
    facts = FrameFacts(
        step_id=step.id,
        series=step.series,
        tilt_number=step.tilt_number,
        nominal_deg=step.nominal_deg,
        mean_counts=_mean(frame.pixels),
        shift_px=_shift_px(frame.pixels, _neighbour_image(step, context)),
        verdict=verdict,
        retakes=recorded.retakes,
        offset_px=recorded.offset_px,
        correlation=check_rotation(context, step.id, step.series, frame, verdict),
    )
    written = context.persist(
        lambda: context.session.record_frame(frame, facts), step_name(step.id)
    )
    tilts_left = context.tilts_left(step.series)
    context.publish(
        FrameRecorded(
            frame=written.recorded,
            planned=step.planned,
            tilts_left=tilts_left,
            dose_e_per_A2=context.session.ledger.dose_e_per_A2,
            left_s=context.left_s(step.id),
        )
    )
    context.jobs.frame_recorded(written.recorded, tilts_left)


def _record_at_rest(step: Tilt, context: Context) -> KeptFrame | None:
    """Move to the tilt, settle, expose; None if the tilt is skipped."""
    expected = predict_centre(context, step.series, step.nominal_deg)
    if not _reach_tilt(step, context, expected.centre):
        return None
    settle(context, step.id)
    if step.focus:
        focus_beside(context, step.id)
    previous = _previous_image(step, context)
    return _expose_with_retakes(step, context, previous, shot_first=step.focus or not expected.sure)


def _record_in_motion(step: Tilt, context: Context) -> KeptFrame:
    """Expose while the stage tilts; a bad frame is kept and marked, as a retake stops the motion.

    Only a frame without beam is taken again, when the beam is back.
    """
    previous = _previous_image(step, context)
    while True:
        context.operator.checkpoint()
        frame = expose_sweep(context, step.id, step.series, step.nominal_deg)
        judgement, location = _judge(frame, previous, context, shot_taken=False)
        if judgement.verdict is FrameVerdict.DIM and not context.microscope.has_beam():
            _reject(step, context, frame, judgement)
            context.microscope.require_beam()
            continue
        if (
            judgement.verdict is FrameVerdict.SATURATED
            and context.protocol.quality.saturated == "stop"
        ):
            _reject(step, context, frame, judgement)
            raise _saturated(step, judgement)
        if judgement.verdict is not FrameVerdict.OK:
            context.alert(judgement.level, f"frame {judgement.reason}: kept, marked", step.id)
        return KeptFrame(frame, judgement.verdict, 0, location.offset_px if location else None)


def _reach_tilt(step: Tilt, context: Context, place: StagePosition) -> bool:
    """Move to the tilt; if the stage cannot, skip the tilt and return False."""
    # only this series counts: between the series the holder was taken out
    skipped = [tilt for tilt in context.session.ledger.skipped if tilt.series == step.series]
    shortfall = observed_limit_deg(step, skipped)
    if shortfall is not None:
        _skip(step, context, f"beyond {shortfall:+.2f} degrees, where the stage stopped before")
        return False
    try:
        reached_deg = move_to_tilt(step, context, place, skipped)
    except StageError as error:
        if context.protocol.limits.unreachable_tilt == "pause":
            raise
        _skip(step, context, str(error))
        return False
    off_deg = abs(reached_deg - step.nominal_deg)
    if off_deg > context.protocol.series(step.series).step_deg / 2:
        _skip(step, context, f"the stage stays at {reached_deg:+.2f} degrees", reached_deg)
        return False
    if off_deg > SHORT_DEG:
        text = f"recorded at {reached_deg:+.2f} degrees, where the stage stays"
        context.alert(Level.WARNING, text, step.id)
    return True


def _skip(step: Tilt, context: Context, reason: str, actual_deg: float | None = None) -> None:
    context.alert(Level.WARNING, f"tilt {step.nominal_deg:+g} skipped: {reason}", step.id)
    context.session.enter(
        TiltSkipped(
            step_id=step.id,
            series=step.series,
            reason=reason,
            nominal_deg=step.nominal_deg,
            actual_deg=actual_deg,
        )
    )
    tilts_left = context.tilts_left(step.series)
    context.publish(
        TiltMissed(
            series=step.series,
            tilt_number=step.tilt_number,
            nominal_deg=step.nominal_deg,
            reason=reason,
            tilts_left=tilts_left,
        )
    )
    context.jobs.tilt_missed(step.series, tilts_left)


def _expose_with_retakes(
    step: Tilt, context: Context, previous: NDArray[Any] | None, shot_first: bool
) -> KeptFrame:
    """Take frames until one is good enough or no retake is left.

    Parameters
    ----------
    shot_first
        Take a tracking shot before the first frame; a retake always has one.
    """
    protocol = context.protocol
    attempt = 0
    while True:
        context.operator.checkpoint()
        shot_taken = protocol.tracking.enabled and (shot_first or attempt > 0)
        if shot_taken:
            keep_centred(context, step.id, f"track-{attempt}")
        frame = context.microscope.acquire(step.id, f"frame-{attempt}", protocol.scan)
        judgement, location = _judge(frame, previous, context, shot_taken)
        offset_px = location.offset_px if location else None
        if judgement.verdict is FrameVerdict.OK:
            return KeptFrame(frame, judgement.verdict, attempt, offset_px)
        if not _needs_retake(judgement, attempt, context):
            context.alert(judgement.level, f"frame {judgement.reason}: kept, marked", step.id)
            return KeptFrame(frame, judgement.verdict, attempt, offset_px)
        _reject(step, context, frame, judgement)
        if judgement.verdict is FrameVerdict.SATURATED:
            raise _saturated(step, judgement)
        if judgement.verdict is FrameVerdict.DIM:
            context.microscope.require_beam()
        if judgement.verdict is FrameVerdict.DIM and attempt >= protocol.quality.max_retakes:
            context.operator.suspend(
                f"{step_name(step.id)}: frame {judgement.reason}; check beam, valves and screen, "
                "then go on"
            )
        if judgement.verdict is FrameVerdict.SHIFTED and location is not None:
            centre_object(context, step.id, location, protocol.scan.pixel_nm)
        attempt += 1


def _judge(
    frame: Frame, previous: NDArray[Any] | None, context: Context, shot_taken: bool
) -> tuple[FrameJudgement, ObjectLocation | None]:
    """Judge a frame and locate the object in it.

    Parameters
    ----------
    shot_taken
        A tracking shot has shown the object before: if the frame does not, it is not called lost.
    """
    protocol = context.protocol
    location = locate_object(frame.pixels) if protocol.tracking.enabled else None
    distance_px = _distance_px(location, lost=protocol.tracking.enabled and not shot_taken)
    judgement = judge_frame(
        frame.pixels, previous, protocol.quality, distance_px, limit_px(protocol)
    )
    return judgement, location


def _saturated(step: Tilt, judgement: FrameJudgement) -> SafetyStopError:
    return SafetyStopError(
        f"{step_name(step.id)}: frame has {judgement.reason}; lower scan.dwell_us or the "
        "detector's gain"
    )


def _distance_px(location: ObjectLocation | None, lost: bool) -> float | None:
    """Return the object's distance from the image centre; infinite if lost, None if unknown."""
    if location is not None:
        return location.distance_px
    return math.inf if lost else None


def _reject(step: Tilt, context: Context, frame: Frame, judgement: FrameJudgement) -> None:
    context.alert(judgement.level, f"frame {judgement.reason}: retaking it", step.id)
    context.persist(
        lambda: context.session.reject_frame(frame, step.id, judgement.verdict), step_name(step.id)
    )


def _needs_retake(judgement: FrameJudgement, attempt: int, context: Context) -> bool:
    """Tell whether a bad frame is rejected: a saturated one by policy, a dim one always."""
    if judgement.verdict is FrameVerdict.SATURATED:
        return context.protocol.quality.saturated == "stop"
    return judgement.verdict is FrameVerdict.DIM or attempt < context.protocol.quality.max_retakes


def _previous_image(step: Tilt, context: Context) -> NDArray[Any] | None:
    """Return the last usable frame: a detector that is stuck repeats it."""
    good = context.session.ledger.frames_with_object(step.series)
    return context.session.image(step.series, good[-1].section) if good else None


def _neighbour_image(step: Tilt, context: Context) -> NDArray[Any] | None:
    """Return the usable frame nearest in tilt, the most similar one, whenever it was recorded."""
    good = context.session.ledger.frames_with_object(step.series)
    if not good:
        return None
    nearest = min(good, key=lambda frame: abs(frame.nominal_deg - step.nominal_deg))
    return context.session.image(step.series, nearest.section)


def _shift_px(image: NDArray[Any], neighbour: NDArray[Any] | None) -> tuple[float, float]:
    if neighbour is None or not np.isfinite(image).all():
        return (0.0, 0.0)
    step = max(1, min(image.shape) // SHIFT_PIXELS)
    now, before = (binned(pixels, step)[None] for pixels in (image, neighbour))
    y, x = find_shifts(now, before).shifts_px[0] * step
    return (float(y), float(x))


def _mean(pixels: NDArray[Any]) -> float:
    finite = pixels[np.isfinite(pixels)]
    return float(finite.mean()) if finite.size else 0.0
