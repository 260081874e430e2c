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
"""Largest distance from the target at which the stage has reached it."""
STUCK_DEG = 0.1
"""A stage that moves less than this, on a move longer than `SHORT_DEG`, is stuck."""


class TiltTarget(Protocol):
    """Step with a tilt to move to."""

    @property
    def id(self) -> str: ...

    @property
    def nominal_deg(self) -> float: ...

    @property
    def approach_deg(self) -> float | None: ...


def move_to_tilt(
    target: TiltTarget, context: Context, place: StagePosition, skipped: Sequence[TiltSkipped]
) -> float:
    """Move to a tilt; try once more if the stage refuses or falls short.

    Parameters
    ----------
    place
        Stage position where the object is expected; its `alpha_deg` is ignored.
    skipped
        Skipped tilts of this series; some name the angle at which the stage stopped.

    Returns
    -------
    float
        Tilt read back after settling, degrees.

    Raises
    ------
    StageError
        The stage refused twice, or does not move at all from an angle where it has not stopped
        before.
    """
    before_deg = context.microscope.stage().alpha_deg
    try:
        if target.approach_deg is not None:
            context.microscope.move(target.id, _at_tilt(place, target.approach_deg))
        reached_deg = _move(target, context, place)
        if abs(reached_deg - target.nominal_deg) <= SHORT_DEG:
            return reached_deg
        found = f"stopped at {reached_deg:+.2f} degrees"
    except StageError as error:
        found = str(error)
    context.alert(Level.WARNING, f"stage: {found}; retrying", target.id)
    reached_deg = _move(target, context, place)
    commanded_deg = abs(target.nominal_deg - before_deg)
    stuck = commanded_deg > SHORT_DEG and abs(reached_deg - before_deg) < STUCK_DEG
    if stuck and not any(_stopped_at(tilt, reached_deg) for tilt in skipped):
        raise StageError(f"the stage does not move from {reached_deg:+.2f} degrees")
    return reached_deg


def observed_limit_deg(target: TiltTarget, skipped: Sequence[TiltSkipped]) -> float | None:
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


def _move(target: TiltTarget, context: Context, place: StagePosition) -> float:
    """Move; if the read-back is off target, let the stage settle and read again."""
    reached = context.microscope.move(target.id, _at_tilt(place, target.nominal_deg))
    if abs(reached.alpha_deg - target.nominal_deg) <= SHORT_DEG:
        return reached.alpha_deg
    context.microscope.wait(context.protocol.tracking.settle_s)
    return context.microscope.stage().alpha_deg


def _at_tilt(place: StagePosition, alpha_deg: float) -> StagePosition:
    return place.model_copy(update={"alpha_deg": alpha_deg})
