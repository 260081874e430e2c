"""One tilt: go there, keep the object in view, record, judge, make it safe on disk."""

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
from controller.model.steps import Tilt
from controller.procedures.check_rotation import check_rotation
from controller.procedures.context import Context
from controller.procedures.focus import focus_beside
from controller.procedures.judge_frame import FrameJudgement, judge
from controller.procedures.stage.expose_moving import pass_through
from controller.procedures.stage.move_to_tilt import SHORT_DEG, beyond_the_limit, go_to
from controller.procedures.stage.settle import settle
from controller.procedures.tracking.centre import bring_to_the_middle, keep_in_view, limit_px
from controller.procedures.tracking.expect import expect
from controller.procedures.tracking.locate import Sighting, binned, sight
from controller.session.entries import TiltSkipped
from processing.images.shift import find_shifts

SHIFT_PIXELS = 128
"""The drift shown to the operator is measured on images binned to about this width."""


@dataclass(frozen=True)
class Recorded:
    """The frame of a tilt that is kept, and what is known of it."""

    frame: Frame
    verdict: FrameVerdict
    retakes: int
    offset_px: tuple[float, float] | None


def carry_out(step: Tilt, context: Context) -> None:
    """Record the frame of this tilt, or say why there is none."""
    recorded = _in_motion(step, context) if step.sweep_deg else _at_rest(step, context)
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
    written = context.persist(lambda: context.session.record_frame(frame, facts), step.id)
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


def _at_rest(step: Tilt, context: Context) -> Recorded | None:
    """Go there, settle, expose; None where the stage does not get there."""
    expected = expect(context, step.series, step.nominal_deg)
    if not _is_reached(step, context, expected.centre):
        return None
    settle(context, step.id)
    if step.focus:
        focus_beside(context, step.id)
    previous = _previous_image(step, context)
    return _expose(step, context, previous, look_first=step.focus or not expected.sure)


def _in_motion(step: Tilt, context: Context) -> Recorded:
    """Expose on the way; going back would stop the motion, so a bad frame is kept and marked.

    Only one without a beam is taken again, once the beam is back.
    """
    previous = _previous_image(step, context)
    while True:
        context.operator.checkpoint()
        frame = pass_through(context, step.id, step.series, step.nominal_deg)
        found, seen = _judged(frame, previous, context, looked=False)
        if found.verdict is FrameVerdict.DIM and not context.microscope.has_beam():
            _reject(step, context, frame, found)
            context.microscope.require_beam()
            continue
        if found.verdict is FrameVerdict.SATURATED and context.protocol.quality.saturated == "stop":
            _reject(step, context, frame, found)
            raise _saturated(step, found)
        if found.verdict is not FrameVerdict.OK:
            context.alert(found.level, f"frame {found.reason}: kept, marked", step.id)
        return Recorded(frame, found.verdict, 0, seen.offset_px if seen else None)


def _is_reached(step: Tilt, context: Context, place: StagePosition) -> bool:
    """Go there; False where the stage does not, and the tilt is left out."""
    # of this series alone: the holder has been out since the other
    skipped = [tilt for tilt in context.session.ledger.skipped if tilt.series == step.series]
    shortfall = beyond_the_limit(step, skipped)
    if shortfall is not None:
        _skip(step, context, f"beyond {shortfall:+.2f} degrees, where the stage stopped before")
        return False
    try:
        reached_deg = go_to(step, context, place, skipped)
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


def _expose(
    step: Tilt, context: Context, previous: NDArray[Any] | None, look_first: bool
) -> Recorded:
    """Take frames until one is good enough or no retake is left.

    Parameters
    ----------
    look_first
        Take a tracking shot before the first; before a retake there always is one.
    """
    protocol = context.protocol
    attempt = 0
    while True:
        context.operator.checkpoint()
        looked = protocol.tracking.enabled and (look_first or attempt > 0)
        if looked:
            keep_in_view(context, step.id, f"track-{attempt}")
        frame = context.microscope.acquire(step.id, f"frame-{attempt}", protocol.scan)
        found, seen = _judged(frame, previous, context, looked)
        offset_px = seen.offset_px if seen else None
        if found.verdict is FrameVerdict.OK:
            return Recorded(frame, found.verdict, attempt, offset_px)
        if not _worth_another(found, attempt, context):
            context.alert(found.level, f"frame {found.reason}: kept, marked", step.id)
            return Recorded(frame, found.verdict, attempt, offset_px)
        _reject(step, context, frame, found)
        if found.verdict is FrameVerdict.SATURATED:
            raise _saturated(step, found)
        if found.verdict is FrameVerdict.DIM:
            context.microscope.require_beam()
        if found.verdict is FrameVerdict.DIM and attempt >= protocol.quality.max_retakes:
            context.operator.suspend(
                f"{step.id}: frame {found.reason}; look at beam, valves and screen, then go on"
            )
        if found.verdict is FrameVerdict.SHIFTED and seen is not None:
            bring_to_the_middle(context, step.id, seen, protocol.scan.pixel_nm)
        attempt += 1


def _judged(
    frame: Frame, previous: NDArray[Any] | None, context: Context, looked: bool
) -> tuple[FrameJudgement, Sighting | None]:
    """Judge a frame, and say where it has the object; `looked`: a shot had it before."""
    protocol = context.protocol
    seen = sight(frame.pixels) if protocol.tracking.enabled else None
    distance_px = _distance_px(seen, lost=protocol.tracking.enabled and not looked)
    found = judge(frame.pixels, previous, protocol.quality, distance_px, limit_px(protocol))
    return found, seen


def _saturated(step: Tilt, found: FrameJudgement) -> SafetyStopError:
    return SafetyStopError(
        f"{step.id}: frame has {found.reason}; lower scan.dwell_us or the detector's gain"
    )


def _distance_px(seen: Sighting | None, lost: bool) -> float | None:
    """How far the object is from the middle; an object not seen is lost where no shot had it."""
    if seen is not None:
        return seen.distance_px
    return math.inf if lost else None


def _reject(step: Tilt, context: Context, frame: Frame, found: FrameJudgement) -> None:
    context.alert(found.level, f"frame {found.reason}: taken again", step.id)
    context.persist(lambda: context.session.reject_frame(frame, step.id, found.verdict), step.id)


def _worth_another(found: FrameJudgement, attempt: int, context: Context) -> bool:
    """Tell whether a frame is not to be kept; a saturated one by policy, a dim one never."""
    if found.verdict is FrameVerdict.SATURATED:
        return context.protocol.quality.saturated == "stop"
    return found.verdict is FrameVerdict.DIM or attempt < context.protocol.quality.max_retakes


def _previous_image(step: Tilt, context: Context) -> NDArray[Any] | None:
    """The last good frame recorded: a detector that is stuck repeats it."""
    good = context.session.ledger.frames_with_object(step.series)
    return context.session.image(step.series, good[-1].section) if good else None


def _neighbour_image(step: Tilt, context: Context) -> NDArray[Any] | None:
    """The good frame nearest in tilt, whenever it was recorded: the one most like this."""
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
