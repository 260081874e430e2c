"""Keep the object at the image centre with low-dose tracking shots."""

from __future__ import annotations

from controller.hardware.interface import Frame
from controller.model.events import Level
from controller.model.exposures import low_dose_scan
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from controller.model.steps import step_name
from controller.model.survey import WIDE
from controller.procedures.context import Context
from controller.procedures.tracking.locate import ObjectLocation, locate_object
from controller.procedures.tracking.stage_image import centring_position

MAX_CORRECTIONS = 3
ROUNDS_FOR_A_TARGET = 3
"""Rounds of `MAX_CORRECTIONS` after which one of several targets is given up."""
CENTRED_FRACTION = 0.5
"""Fraction of the allowed shift below which the stage is not moved: its backlash is as large."""


def take_tracking_shot(context: Context, step_id: str, purpose: str, field: int = 1) -> Frame:
    """Take one tracking shot; charge its dose, do not keep its pixels."""
    frame = context.microscope.acquire(step_id, purpose, low_dose_scan(context.protocol, field))
    context.microscope.charge_unkept(frame)
    return frame


def limit_px(protocol: Protocol) -> float:
    """Return the largest allowed distance of the object from the image centre, pixels."""
    return protocol.tracking.max_shift_fraction * min(
        protocol.scan.width_px, protocol.scan.height_px
    )


def keep_centred(
    context: Context, step_id: str, purpose: str, more_rounds: int = ROUNDS_FOR_A_TARGET - 1
) -> ObjectLocation:
    """Take tracking shots and move the stage until the object is near the image centre.

    A lost object is searched for in a wider field. If that fails, the session pauses and the
    operator is asked to bring it back. One of several targets is corrected for some more rounds
    instead, because nobody may be there.

    Raises
    ------
    TargetLostError
        The object is one of several targets and is not found, or does not stay in view.
    """
    limit = limit_px(context.protocol)
    for correction in range(MAX_CORRECTIONS):
        location = locate_object(
            take_tracking_shot(context, step_id, f"{purpose}-{correction}").pixels
        )
        if location is None:
            recover_object(context, step_id, f"{purpose}-{correction}-wide")
        elif location.distance_px <= CENTRED_FRACTION * limit:
            return location
        else:
            centre_object(context, step_id, location, context.protocol.scan.pixel_nm)
            if location.distance_px <= limit:  # a small correction needs no second shot
                return location
    if context.protocol.targets is None or not more_rounds:
        context.lose_object(
            f"{step_name(step_id)}: the object does not stay in view after {MAX_CORRECTIONS} "
            "corrections",
            "; centre it by hand, then go on",
        )
    return keep_centred(context, step_id, purpose, more_rounds - 1)


def recover_object(context: Context, step_id: str, purpose: str) -> None:
    """Search for the object in a wide field and centre it."""
    while True:
        shot = take_tracking_shot(context, step_id, purpose, WIDE)
        location = locate_object(shot.pixels, WIDE)
        if location is not None:
            context.alert(Level.WARNING, "object out of view: found in a wide shot", step_id)
            centre_object(context, step_id, location, shot.info.scan.pixel_nm)
            return
        context.lose_object(
            f"{step_name(step_id)}: no object within {WIDE} fields of view",
            "; bring it back, then go on",
        )


def centre_object(
    context: Context, step_id: str, location: ObjectLocation, pixel_nm: float
) -> StagePosition:
    """Move the stage, at its present tilt, so that the object is centred."""
    axis_deg = context.protocol.column.tilt_axis_deg
    target = centring_position(context.microscope.stage(), location.offset_px, pixel_nm, axis_deg)
    return context.microscope.move(step_id, target)
