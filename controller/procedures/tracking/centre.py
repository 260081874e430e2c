"""Keeping the object in view with shots of a fraction of a frame's dose."""

from __future__ import annotations

from controller.hardware.interface import Frame
from controller.model.events import Level
from controller.model.exposures import WIDE, low_dose_scan
from controller.model.protocol import Protocol
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.tracking.aim import aimed_at
from controller.procedures.tracking.locate import Sighting, sight

MOST_CORRECTIONS = 3
CLOSE_ENOUGH = 0.5
"""Of the allowed shift: nearer to the middle the stage is left alone, its backlash being no
smaller."""


def shoot(context: Context, step_id: str, purpose: str, field: int = 1) -> Frame:
    """Take one tracking shot; its dose is charged, its pixels are not kept."""
    frame = context.microscope.acquire(step_id, purpose, low_dose_scan(context.protocol, field))
    context.microscope.settle(frame)
    return frame


def limit_px(protocol: Protocol) -> float:
    """How far from the middle the object's centre may be, pixels."""
    return protocol.tracking.max_shift_fraction * min(
        protocol.scan.width_px, protocol.scan.height_px
    )


def keep_in_view(context: Context, step_id: str, purpose: str) -> Sighting:
    """Look where the object is and move the stage until it is near the middle.

    A lost object is looked for in a wider field; where that fails the operator is asked to bring
    it back.
    """
    limit = limit_px(context.protocol)
    for correction in range(MOST_CORRECTIONS):
        sighting = sight(shoot(context, step_id, f"{purpose}-{correction}").pixels)
        if sighting is None:
            find_again(context, step_id, f"{purpose}-{correction}-wide")
        elif sighting.distance_px <= CLOSE_ENOUGH * limit:
            return sighting
        else:
            bring_to_the_middle(context, step_id, sighting, context.protocol.scan.pixel_nm)
            if sighting.distance_px <= limit:  # a small correction needs no second look
                return sighting
    context.operator.suspend(
        f"{step_id}: the object does not stay in view after {MOST_CORRECTIONS} corrections; "
        "centre it by hand, then go on"
    )
    return keep_in_view(context, step_id, purpose)


def find_again(context: Context, step_id: str, purpose: str) -> None:
    """Look for the object in a wide field and bring it to the middle."""
    while True:
        shot = shoot(context, step_id, purpose, WIDE)
        sighting = sight(shot.pixels)
        if sighting is not None:
            context.alert(Level.WARNING, "object out of view: found again at low dose", step_id)
            bring_to_the_middle(context, step_id, sighting, shot.info.scan.pixel_nm)
            return
        context.operator.suspend(
            f"{step_id}: no object within {WIDE} fields of view; bring it back, then go on"
        )


def bring_to_the_middle(
    context: Context, step_id: str, sighting: Sighting, pixel_nm: float
) -> StagePosition:
    """Correct the stage at the tilt it is at."""
    target = aimed_at(context.microscope.stage(), sighting.offset_px, pixel_nm)
    return context.microscope.move(step_id, target)
