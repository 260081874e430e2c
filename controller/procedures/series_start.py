"""Start of a series, repeated whenever the series is resumed."""

from __future__ import annotations

from controller.model.base import SeriesName
from controller.model.exposures import backlash_start_deg
from controller.model.protocol import Protocol
from controller.model.steps import SeriesStart, tilt_id
from controller.procedures.context import Context
from controller.procedures.focus import restore_focus
from controller.procedures.tracking.centre import keep_centred
from controller.session.entries import StepDone


def carry_out(step: SeriesStart, context: Context) -> None:
    """Set or verify the current, restore the focus, take up the backlash, centre the object."""
    microscope = context.microscope
    microscope.blank()
    microscope.set_current(step.id, step.current_pA)
    restore_focus(context, step.id)
    tilt_deg = next_tilt(context.protocol, step.series, context.session.ledger.completed)
    alpha_deg = tilt_deg - context.protocol.series(step.series).sweep_deg / 2
    start_deg = backlash_start_deg(alpha_deg, context.protocol, step.series)
    centre = context.session.ledger.centre
    microscope.move(step.id, centre.model_copy(update={"alpha_deg": start_deg}))
    microscope.move(step.id, centre.model_copy(update={"alpha_deg": alpha_deg}))
    microscope.wait(context.protocol.tracking.settle_s)
    if context.protocol.tracking.enabled:
        keep_centred(context, step.id, "reference")
    context.session.enter(StepDone(step_id=step.id, centre=microscope.stage()))


def next_tilt(protocol: Protocol, series: SeriesName, completed: frozenset[str]) -> float:
    """Return the first tilt not completed, degrees; the last tilt if all are."""
    tilts = protocol.series(series).tilts_deg
    missing = (
        tilt_deg
        for number, tilt_deg in enumerate(tilts, start=1)
        if tilt_id(series, number) not in completed
    )
    return next(missing, tilts[-1])
