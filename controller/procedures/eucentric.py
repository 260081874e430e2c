"""Eucentric height: the specimen onto the tilt axis, from how far a tilt shifts it sideways.

What lies `z` over the axis is seen at u = x cos t + z sin t, so the images at +t and -t are
2 z sin t apart across the axis, whatever x is.
"""

from __future__ import annotations

import math

from controller.model.events import Level
from controller.model.exposures import WIDE, eucentric_tilts_deg
from controller.model.protocol import BACKLASH_DEG
from controller.model.stage import StagePosition
from controller.model.steps import EucentricHeight
from controller.procedures.context import Context
from controller.procedures.tracking.centre import keep_in_view, shoot
from controller.procedures.tracking.locate import sight
from controller.session.entries import StepDone


def carry_out(step: EucentricHeight, context: Context) -> None:
    """Verify the current, bring the object to the middle at 0 degrees, then to the axis."""
    context.microscope.have_current(step.id, step.current_pA)
    _turn(context, step.id, 0.0)
    keep_in_view(context, step.id, "track-height")
    refine_height(context, step.id)
    context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))


def refine_height(context: Context, step_id: str) -> float | None:
    """Bring what is in view at 0 degrees to the tilt axis, coarsely and then finely.

    The stage is at 0 degrees afterwards. Returns how far it was moved along z, nm; None where the
    object was not seen at both tilts: its height then stays as it is, with a warning.
    """
    moved_nm = _brought_to_the_axis_nm(context, step_id)
    if moved_nm is not None:
        text = f"eucentric height: stage moved by {moved_nm:+.0f} nm along z"
        context.alert(Level.INFO, text, step_id)
    _turn(context, step_id, 0.0)
    keep_in_view(context, step_id, "track-after-height")
    return moved_nm


def _brought_to_the_axis_nm(context: Context, step_id: str) -> float | None:
    moved_nm = 0.0
    for tilt_deg in eucentric_tilts_deg(context.protocol):
        height_nm = _height_nm(context, step_id, tilt_deg)
        if height_nm is None:
            text = (
                f"eucentric height: nothing seen at both {tilt_deg:+g} and {-tilt_deg:+g} degrees"
            )
            context.alert(Level.WARNING, f"{text}: left as it is", step_id)
            return None
        moved_nm -= height_nm
        _raise(context, step_id, -height_nm)
    return moved_nm


def _height_nm(context: Context, step_id: str, tilt_deg: float) -> float | None:
    """Height of the object over the axis, seen from both sides."""
    seen_nm = []
    for alpha_deg in (-tilt_deg, tilt_deg):
        _turn(context, step_id, alpha_deg)
        place_nm = _across_the_axis_nm(context, step_id, f"track-height{alpha_deg:+g}")
        if place_nm is None:
            return None
        seen_nm.append(place_nm)
    return (seen_nm[1] - seen_nm[0]) / (2.0 * math.sin(math.radians(tilt_deg)))


def _across_the_axis_nm(context: Context, step_id: str, purpose: str) -> float | None:
    """Where the object is across the tilt axis; a wider field is looked at where it is lost."""
    for field in (1, WIDE):
        shot = shoot(context, step_id, f"{purpose}-{field}", field)
        seen = sight(shot.pixels)
        if seen is not None:
            return seen.offset_px[1] * shot.info.scan.pixel_nm
    return None


def _turn(context: Context, step_id: str, alpha_deg: float) -> None:
    """Tilt, always from below, so that the backlash is the same; x, y and z as they are."""
    stage = context.microscope.stage()
    for target_deg in (alpha_deg - BACKLASH_DEG, alpha_deg):
        context.microscope.move(step_id, stage.model_copy(update={"alpha_deg": target_deg}))
    context.microscope.wait(context.protocol.tracking.settle_s)


def _raise(context: Context, step_id: str, by_nm: float) -> StagePosition:
    stage = context.microscope.stage()
    return context.microscope.move(step_id, stage.model_copy(update={"z_nm": stage.z_nm + by_nm}))
