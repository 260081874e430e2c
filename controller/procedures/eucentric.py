"""Set the eucentric height from the object's shift between tilts of +t and -t.

An object at height z above the tilt axis appears at u = x cos t + z sin t, so its images at +t and
-t are 2 z sin t apart across the axis, for any x.
"""

from __future__ import annotations

import math

from controller.model.events import Level
from controller.model.exposures import eucentric_tilts_deg
from controller.model.scan import along_stage
from controller.model.stage import BACKLASH_DEG, StagePosition
from controller.model.steps import EucentricHeight
from controller.model.survey import WIDE
from controller.procedures.context import Context
from controller.procedures.tracking.centre import keep_centred, take_tracking_shot
from controller.procedures.tracking.locate import locate_object
from controller.session.entries import StepDone


def carry_out(step: EucentricHeight, context: Context) -> None:
    """Verify the current, centre the object at 0 degrees, then set the eucentric height."""
    context.microscope.ensure_current(step.id, step.current_pA)
    _tilt_from_below(context, step.id, 0.0)
    keep_centred(context, step.id, "track-height")
    refine_height(context, step.id)
    context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))


def refine_height(context: Context, step_id: str) -> float | None:
    """Move the object in view at 0 degrees to the tilt axis, coarsely and then finely.

    The stage is at 0 degrees afterwards. Returns the move along z, nm. If the object is not found
    at both tilts, warns, leaves the height unchanged and returns None.
    """
    moved_nm = _move_to_axis_nm(context, step_id)
    if moved_nm is not None:
        text = f"eucentric height: stage moved by {moved_nm:+.0f} nm along z"
        context.alert(Level.INFO, text, step_id)
    _tilt_from_below(context, step_id, 0.0)
    keep_centred(context, step_id, "track-after-height")
    return moved_nm


def _move_to_axis_nm(context: Context, step_id: str) -> float | None:
    moved_nm = 0.0
    for tilt_deg in eucentric_tilts_deg(context.protocol):
        height_nm = _height_nm(context, step_id, tilt_deg)
        if height_nm is None:
            tilts = f"{tilt_deg:+g} and {-tilt_deg:+g} degrees"
            text = f"eucentric height unchanged: no object found at both {tilts}"
            context.alert(Level.WARNING, text, step_id)
            return None
        moved_nm -= height_nm
        _move_z(context, step_id, -height_nm)
    return moved_nm


def _height_nm(context: Context, step_id: str, tilt_deg: float) -> float | None:
    """Measure the height of the object above the tilt axis from two tilts."""
    offsets_nm = []
    for alpha_deg in (-tilt_deg, tilt_deg):
        _tilt_from_below(context, step_id, alpha_deg)
        offset_nm = _offset_across_axis_nm(context, step_id, f"track-height{alpha_deg:+g}")
        if offset_nm is None:
            return None
        offsets_nm.append(offset_nm)
    return (offsets_nm[1] - offsets_nm[0]) / (2.0 * math.sin(math.radians(tilt_deg)))


def _offset_across_axis_nm(context: Context, step_id: str, purpose: str) -> float | None:
    """Measure the object's offset across the tilt axis; if it is lost, try a wider field."""
    for field in (1, WIDE):
        shot = take_tracking_shot(context, step_id, f"{purpose}-{field}", field)
        location = locate_object(shot.pixels, field)
        if location is not None:
            y_px, x_px = location.offset_px
            across_px, _ = along_stage((x_px, y_px), context.protocol.column.tilt_axis_deg)
            return across_px * shot.info.scan.pixel_nm
    return None


def _tilt_from_below(context: Context, step_id: str, alpha_deg: float) -> None:
    """Tilt, always from below for equal backlash; leave x, y and z unchanged."""
    stage = context.microscope.stage()
    for target_deg in (alpha_deg - BACKLASH_DEG, alpha_deg):
        context.microscope.move(step_id, stage.model_copy(update={"alpha_deg": target_deg}))
    context.microscope.wait(context.protocol.tracking.settle_s)


def _move_z(context: Context, step_id: str, by_nm: float) -> StagePosition:
    stage = context.microscope.stage()
    return context.microscope.move(step_id, stage.model_copy(update={"z_nm": stage.z_nm + by_nm}))
