"""Find a target at its position on the grid, before anything else is exposed there."""

from __future__ import annotations

from controller.model.steps import FindTarget
from controller.procedures.context import Context, TargetLostError
from controller.procedures.flip.check_scan import measure_scan_axes
from controller.procedures.tracking.centre import keep_centred
from controller.session.entries import StepDone


def carry_out(step: FindTarget, context: Context) -> None:
    """Move to the position, find the assembly within a wide field, and centre it.

    Raises
    ------
    TargetLostError
        No assembly is there, or it cannot be centred; a mirrored or rotated scan is named.
    """
    microscope = context.microscope
    microscope.ensure_current(step.id, step.current_pA)
    microscope.move(step.id, step.position)
    microscope.wait(context.protocol.tracking.settle_s)
    try:
        keep_centred(context, step.id, "find")
    except TargetLostError as error:
        microscope.move(step.id, step.position)
        axes = measure_scan_axes(context, step.id)
        if axes is None or not axes.fault:
            raise
        raise TargetLostError(f"{error}; {axes.fault}: {axes.remedy}") from None
    context.session.enter(StepDone(step_id=step.id, centre=microscope.stage()))
