"""Before the first tilt of a series, and again whenever it is taken up after a break."""

from __future__ import annotations

from controller.model.base import SeriesName
from controller.model.exposures import backlash_start_deg
from controller.model.protocol import Protocol
from controller.model.steps import SeriesStart, tilt_id
from controller.procedures.context import Context
from controller.procedures.focus import focus_again
from controller.procedures.tracking.centre import keep_in_view
from controller.session.entries import StepDone


def carry_out(step: SeriesStart, context: Context) -> None:
    """Verify the current, focus as before, take up the backlash, centre the object."""
    column = context.microscope
    column.blank()
    column.set_current(step.id, step.current_pA)
    focus_again(context, step.id)
    tilt_deg = next_tilt(context.protocol, step.series, context.session.ledger.completed)
    alpha_deg = tilt_deg - context.protocol.series(step.series).sweep_deg / 2
    behind_deg = backlash_start_deg(alpha_deg, context.protocol, step.series)
    centre = context.session.ledger.centre
    column.move(step.id, centre.model_copy(update={"alpha_deg": behind_deg}))
    column.move(step.id, centre.model_copy(update={"alpha_deg": alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)
    if context.protocol.tracking.enabled:
        keep_in_view(context, step.id, "reference")
    context.session.enter(StepDone(step_id=step.id, centre=column.stage()))


def next_tilt(protocol: Protocol, series: SeriesName, completed: frozenset[str]) -> float:
    """Return the first tilt not done, degrees."""
    tilts = protocol.series(series).tilts_deg
    missing = (
        tilt_deg
        for number, tilt_deg in enumerate(tilts, start=1)
        if tilt_id(series, number) not in completed
    )
    return next(missing, tilts[-1])
