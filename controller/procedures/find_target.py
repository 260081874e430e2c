"""Find a target at its position on the grid, before anything else is exposed there."""

from __future__ import annotations

from controller.model.steps import FindTarget
from controller.procedures.context import Context
from controller.procedures.tracking.centre import keep_centred
from controller.session.entries import StepDone


def carry_out(step: FindTarget, context: Context) -> None:
    """Move to the position, find the assembly within a wide field, and centre it.

    Raises
    ------
    TargetLostError
        No assembly is there.
    """
    microscope = context.microscope
    microscope.ensure_current(step.id, step.current_pA)
    microscope.move(step.id, step.position)
    microscope.wait(context.protocol.tracking.settle_s)
    keep_centred(context, step.id, "find")
    context.session.enter(StepDone(step_id=step.id, centre=microscope.stage()))
