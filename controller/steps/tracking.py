"""Keeping the object in view with shots of a fraction of a frame's dose."""

from __future__ import annotations

from controller.events import Level
from controller.microscope.interface import Frame, ScanSettings, StagePosition
from controller.protocol import Protocol
from controller.steps.aiming import aimed_at
from controller.steps.context import Context
from controller.steps.sighting import Sighting, sight

WIDE = 4
"""The search image's field, in frames: a lost object is looked for there."""
MOST_CORRECTIONS = 3
CLOSE_ENOUGH = 0.5
"""Of the allowed shift: nearer to the middle the stage is left alone, its backlash being no
smaller."""


def low_dose_scan(protocol: Protocol, field: int = 1) -> ScanSettings:
    """Scan of a tracking shot over a field `field` frames wide."""
    scan = protocol.scan
    return ScanSettings(
        width_px=scan.width_px,
        height_px=scan.height_px,
        pixel_nm=scan.pixel_nm * field,
        dwell_us=scan.dwell_us * protocol.tracking.low_dose_dwell_fraction,
    )


def shoot(context: Context, step_id: str, purpose: str, field: int = 1) -> Frame:
    """Take one tracking shot; its dose is charged, its pixels are not kept."""
    frame = context.column.acquire(step_id, purpose, low_dose_scan(context.protocol, field))
    context.column.settle(frame)
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
    target = aimed_at(context.column.stage(), sighting.offset_px, pixel_nm)
    return context.column.move(step_id, target)
