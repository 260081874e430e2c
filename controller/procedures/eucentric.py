"""Set the eucentric height from the object's shift between tilts of +t and -t.

An object at height z above the tilt axis appears at u = x cos t + z sin t, so its images at +t and
-t are 2 z sin t apart across the axis, for any x. Their mean is x cos t. x is the same in both
pairs of images, so that its two values show how far one image is off its place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from controller.model.base import SeriesName
from controller.model.events import Level
from controller.model.exposures import eucentric_tilts_deg
from controller.model.scan import along_stage
from controller.model.stage import BACKLASH_DEG, StagePosition
from controller.model.steps import EucentricHeight
from controller.model.survey import WIDE
from controller.procedures.context import Context
from controller.procedures.tracking.centre import keep_centred, limit_px, take_tracking_shot
from controller.procedures.tracking.locate import locate_object
from controller.session.entries import HeightMeasured, StepDone

MOST_REPEATS = 2
"""Largest number of times that the highest tilt is repeated."""


@dataclass(frozen=True)
class HeightLocation:
    """Place of the object as two images, at +t and -t, show it.

    Attributes
    ----------
    across_nm
        x, its distance from the image centre across the tilt axis at 0 degrees.
    height_nm
        z, its height above the tilt axis.
    """

    tilt_deg: float
    across_nm: float
    height_nm: float

    @property
    def shift_nm(self) -> float:
        """Shift of the object in each image by its height."""
        return abs(self.height_nm * math.sin(math.radians(self.tilt_deg)))


def carry_out(step: EucentricHeight, context: Context) -> None:
    """Verify the current, centre the object at 0 degrees, then set the eucentric height."""
    context.microscope.ensure_current(step.id, step.current_pA)
    _tilt_from_below(context, step.id, 0.0)
    keep_centred(context, step.id, "track-height")
    refine_height(context, step.id, "A")
    context.session.enter(StepDone(step_id=step.id, centre=context.microscope.stage()))


def refine_height(context: Context, step_id: str, series: SeriesName) -> float | None:
    """Move the object in view at 0 degrees to the tilt axis, coarsely and then finely.

    The stage is at 0 degrees afterwards. Journals its position, and returns the move along z, nm.
    If the object is not found at both tilts, warns, leaves the height unchanged and returns None.
    """
    tilts = ", ".join(f"±{tilt_deg:g}°" for tilt_deg in eucentric_tilts_deg(context.protocol))
    context.alert(Level.INFO, f"measuring the eucentric height, at {tilts}", step_id)
    seen = _move_to_axis(context, step_id)
    if seen is not None:
        moved_nm = -sum(each.height_nm for each in seen)
        text = f"eucentric height: stage moved by {moved_nm:+.0f} nm along z"
        context.alert(Level.INFO, text, step_id)
    _tilt_from_below(context, step_id, 0.0)
    keep_centred(context, step_id, "track-after-height")
    context.session.enter(
        HeightMeasured(
            step_id=step_id,
            series=series,
            stage=None if seen is None else context.microscope.stage(),
            error_nm=None if seen is None else height_error_nm(seen),
        )
    )
    return None if seen is None else moved_nm


def height_error_nm(seen: Sequence[HeightLocation]) -> float | None:
    """Return the standard error of the last height, from how well its images repeat the first.

    It has one degree of freedom: only the mean square over several objects is of use. None after
    one location.
    """
    if len(seen) < 2:
        return None
    first, last = seen[0], seen[-1]
    # each image is off its place by e; across_nm is then off by e / (sqrt(2) cos t)
    variances = [0.5 / math.cos(math.radians(each.tilt_deg)) ** 2 for each in (first, last)]
    image_error_nm = abs(last.across_nm - first.across_nm) / math.sqrt(sum(variances))
    return image_error_nm / (math.sqrt(2.0) * math.sin(math.radians(last.tilt_deg)))


def _move_to_axis(context: Context, step_id: str) -> list[HeightLocation] | None:
    """Move the object to the tilt axis, with ever higher tilts; None if it is not found there.

    An object that reached over the edge of the frame seems to lie nearer to the axis than it does:
    the highest tilt is repeated until it does not.
    """
    tilts_deg = eucentric_tilts_deg(context.protocol)
    largest_nm = limit_px(context.protocol) * context.protocol.scan.pixel_nm
    seen: list[HeightLocation] = []
    for tilt_deg in (*tilts_deg, *(tilts_deg[-1],) * MOST_REPEATS):
        if len(seen) >= len(tilts_deg) and seen[-1].shift_nm <= largest_nm:
            break
        location = _locate_at(context, step_id, tilt_deg)
        if location is None:
            tilts = f"{tilt_deg:+g} and {-tilt_deg:+g} degrees"
            text = f"eucentric height unchanged: no object found at both {tilts}"
            context.alert(Level.WARNING, text, step_id)
            return None
        seen.append(location)
        _move_z(context, step_id, -location.height_nm)
    return seen


def _locate_at(context: Context, step_id: str, tilt_deg: float) -> HeightLocation | None:
    """Measure the place of the object from two tilts."""
    offsets_nm = []
    for alpha_deg in (-tilt_deg, tilt_deg):
        _tilt_from_below(context, step_id, alpha_deg)
        offset_nm = _offset_across_axis_nm(context, step_id, f"track-height{alpha_deg:+g}")
        if offset_nm is None:
            return None
        offsets_nm.append(offset_nm)
    below_nm, above_nm = offsets_nm
    t = math.radians(tilt_deg)
    return HeightLocation(
        tilt_deg,
        across_nm=(above_nm + below_nm) / (2.0 * math.cos(t)),
        height_nm=(above_nm - below_nm) / (2.0 * math.sin(t)),
    )


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
