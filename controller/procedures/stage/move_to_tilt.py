"""Move to a tilt with one retry; detect refused, stuck and short moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.hardware.interface import StageError
from controller.model.events import Level
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.session.entries import TiltSkipped

SHORT_DEG = 0.5
"""A stage that stays further than this from its target has not reached it."""
STUCK_DEG = 0.1
"""A stage that moves less than this, though told to move further than `SHORT_DEG`, is stuck."""


class Target(Protocol):
    """The step that wants to go somewhere."""

    @property
    def id(self) -> str: ...

    @property
    def nominal_deg(self) -> float: ...

    @property
    def approach_deg(self) -> float | None: ...


def go_to(
    target: Target, context: Context, place: StagePosition, skipped: Sequence[TiltSkipped]
) -> float:
    """Move to a tilt; a stage that refuses or falls short is told once more.

    Parameters
    ----------
    place
        Where the object is expected; its tilt counts for nothing.
    skipped
        Tilts of this series at which it fell short before.

    Returns
    -------
    float
        Tilt angle where the stage says it is, settled, degrees.

    Raises
    ------
    StageError
        It refused twice, or does not move at all though it has not stopped there before.
    """
    before_deg = context.microscope.stage().alpha_deg
    try:
        if target.approach_deg is not None:
            context.microscope.move(target.id, _turned(place, target.approach_deg))
        reached_deg = _move(target, context, place)
        if abs(reached_deg - target.nominal_deg) <= SHORT_DEG:
            return reached_deg
        found = f"stopped at {reached_deg:+.2f} degrees"
    except StageError as error:
        found = str(error)
    context.alert(Level.WARNING, f"stage: {found}; trying once more", target.id)
    reached_deg = _move(target, context, place)
    wanted_deg = abs(target.nominal_deg - before_deg)
    unmoved = wanted_deg > SHORT_DEG and abs(reached_deg - before_deg) < STUCK_DEG
    if unmoved and not any(_stopped_at(tilt, reached_deg) for tilt in skipped):
        raise StageError(f"the stage does not move from {reached_deg:+.2f} degrees")
    return reached_deg


def beyond_the_limit(target: Target, skipped: Sequence[TiltSkipped]) -> float | None:
    """Return the angle at which the stage stopped at two tilts, if the target lies beyond it."""
    for tilt in skipped:
        if tilt.actual_deg is None:
            continue
        times = sum(_stopped_at(other, tilt.actual_deg) for other in skipped)
        way = (target.nominal_deg - tilt.actual_deg) * (tilt.nominal_deg - tilt.actual_deg)
        if times > 1 and way > 0:
            return tilt.actual_deg
    return None


def _stopped_at(tilt: TiltSkipped, alpha_deg: float) -> bool:
    return tilt.actual_deg is not None and abs(tilt.actual_deg - alpha_deg) <= SHORT_DEG


def _move(target: Target, context: Context, place: StagePosition) -> float:
    """Move and, where the stage says it is elsewhere, let it settle and read again."""
    reached = context.microscope.move(target.id, _turned(place, target.nominal_deg))
    if abs(reached.alpha_deg - target.nominal_deg) <= SHORT_DEG:
        return reached.alpha_deg
    context.microscope.wait(context.protocol.tracking.settle_s)
    return context.microscope.stage().alpha_deg


def _turned(place: StagePosition, alpha_deg: float) -> StagePosition:
    return place.model_copy(update={"alpha_deg": alpha_deg})
