"""Before the first tilt of a series, and again whenever it is taken up after a break."""

from __future__ import annotations

from typing import Literal

from controller.events import SeriesName
from controller.microscope.interface import Positive
from controller.protocol import BACKLASH_DEG, Protocol
from controller.session.entries import StepDone
from controller.steps.base import StepData
from controller.steps.context import Context
from controller.steps.focus import focus_again
from controller.steps.tracking import keep_in_view


class SeriesStart(StepData):
    kind: Literal["series-start"] = "series-start"
    series: SeriesName
    current_pA: Positive


def carry_out(step: SeriesStart, context: Context) -> None:
    """Verify the current, focus as before, take up the backlash, centre the object."""
    column = context.column
    column.blank()
    column.set_current(step.id, step.current_pA)
    focus_again(context, step.id)
    tilt_deg = next_tilt(context.protocol, step.series, context.session.ledger.completed)
    alpha_deg = tilt_deg - context.protocol.series(step.series).sweep_deg / 2
    behind_deg = behind(alpha_deg, context.protocol, step.series)
    centre = context.session.ledger.centre
    column.move(step.id, centre.model_copy(update={"alpha_deg": behind_deg}))
    column.move(step.id, centre.model_copy(update={"alpha_deg": alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)
    if context.protocol.tracking.enabled:
        keep_in_view(context, step.id, "reference")
    context.session.enter(StepDone(step_id=step.id, centre=column.stage()))


def tilt_id(series: SeriesName, index: int) -> str:
    """Id of a tilt's step: ``A-041``."""
    return f"{series}-{index:03d}"


def next_tilt(protocol: Protocol, series: SeriesName, completed: frozenset[str]) -> float:
    """Return the first tilt not done, degrees."""
    tilts = protocol.series(series).tilts_deg
    missing = (tilts[i] for i in range(len(tilts)) if tilt_id(series, i) not in completed)
    return next(missing, tilts[-1])


def behind(alpha_deg: float, protocol: Protocol, series: SeriesName) -> float:
    """Where the stage goes before a tilt, so that the way there takes the backlash up.

    Every tilt of a series is then approached in one direction, in whatever order they come.
    """
    limits = protocol.limits.stage
    start_deg = alpha_deg - protocol.series(series).direction * BACKLASH_DEG
    return min(max(start_deg, limits.alpha_min_deg), limits.alpha_max_deg)
