"""Expose a frame while the stage tilts: no stop, no settling, no tracking shot before it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.hardware.interface import Frame, StageError
from controller.model.base import SeriesName
from controller.model.exposures import backlash_start_deg
from controller.model.frames import FrameVerdict
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.stage.move_to_tilt import SHORT_DEG, move_to_tilt
from controller.procedures.tracking.centre import CENTRED_FRACTION, keep_centred, limit_px
from controller.procedures.tracking.predict_centre import predict_from_frames
from controller.procedures.tracking.stage_image import image_distance_nm

MAX_START_ERROR_FRACTION = 0.25
"""Maximum start-angle error, as a fraction of the sweep: within it the motion simply continues."""


@dataclass(frozen=True)
class SweepStart:
    """Stage target at the start of the exposure."""

    id: str
    nominal_deg: float
    approach_deg: float | None


def expose_sweep(context: Context, step_id: str, series: SeriesName, alpha_deg: float) -> Frame:
    """Expose while the stage tilts from half a step before an angle to half a step after it."""
    sweep_deg = context.protocol.series(series).sweep_deg
    begin_deg = alpha_deg - sweep_deg / 2
    stage = context.microscope.stage()
    off_deg = abs(stage.alpha_deg - begin_deg)
    if off_deg > MAX_START_ERROR_FRACTION * abs(sweep_deg) or _is_lost(context, series):
        _start_motion(
            context,
            SweepStart(step_id, begin_deg, backlash_start_deg(begin_deg, context.protocol, series)),
        )
    else:
        _recentre(context, step_id, predict_from_frames(context, series, alpha_deg), stage)
    return context.microscope.acquire_tilting(
        step_id, "frame-0", context.protocol.scan, alpha_deg + sweep_deg / 2
    )


def _is_lost(context: Context, series: SeriesName) -> bool:
    """Tell whether the last frame did not show the object near its centre."""
    frames = context.session.ledger.frames[series]
    if not (frames and context.protocol.tracking.enabled):
        return False
    return frames[-1].verdict is FrameVerdict.SHIFTED or frames[-1].offset_px is None


def _start_motion(context: Context, start: SweepStart) -> None:
    """Start the motion: move there through the backlash start, settle, centre the object."""
    reached_deg = move_to_tilt(start, context, context.session.ledger.centre, [])
    if abs(reached_deg - start.nominal_deg) > SHORT_DEG:
        raise StageError(
            f"the stage stays at {reached_deg:+.2f} degrees: the motion cannot begin at "
            f"{start.nominal_deg:+g}"
        )
    context.microscope.wait(context.protocol.tracking.settle_s)
    if context.protocol.tracking.enabled:
        keep_centred(context, start.id, "track-0")


def _recentre(
    context: Context, step_id: str, centre: StagePosition | None, stage: StagePosition
) -> None:
    """Shift the stage, without tilting, if the object would be too far from the image centre."""
    if centre is None or not context.protocol.tracking.enabled:
        return
    off_nm = image_distance_nm(centre, stage, stage.alpha_deg)
    if off_nm > CENTRED_FRACTION * limit_px(context.protocol) * context.protocol.scan.pixel_nm:
        place = {"x_nm": centre.x_nm, "y_nm": centre.y_nm}
        context.microscope.move(step_id, stage.model_copy(update=place))
