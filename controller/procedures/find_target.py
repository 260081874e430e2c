"""Find a target at its position on the grid, before anything else is exposed there."""

from __future__ import annotations

from controller.hardware.interface import Frame, OutOfLimitsError
from controller.model.steps import FindTarget, step_name
from controller.model.survey import MAP_FIELDS
from controller.procedures.context import Context, TargetLostError
from controller.procedures.flip.check_scan import measure_scan_axes
from controller.procedures.flip.maps import wide_scan
from controller.procedures.flip.scan_axes import ScanAxes
from controller.procedures.flip.scan_rotation import measure_rotation
from controller.procedures.tracking.centre import keep_centred
from controller.session.entries import StepDone


def carry_out(step: FindTarget, context: Context) -> None:
    """Move to the position, find the assembly within a wide field, and centre it.

    Raises
    ------
    TargetLostError
        No assembly is there, or it cannot be centred, or the scan is mirrored or rotated otherwise
        than the protocol says: the flip would not be recognised.
    """
    microscope = context.microscope
    microscope.ensure_current(step.id, step.current_pA)
    _raise_fault(step, _axes_on_maps(step, context))
    microscope.move(step.id, step.position)
    microscope.wait(context.protocol.tracking.settle_s)
    try:
        keep_centred(context, step.id, "find")
    except TargetLostError:
        microscope.move(step.id, step.position)
        _raise_fault(step, measure_scan_axes(context, step.id))
        raise
    context.session.enter(StepDone(step_id=step.id, centre=microscope.stage()))


def _raise_fault(step: FindTarget, axes: ScanAxes | None) -> None:
    if axes is not None and axes.fault:
        raise TargetLostError(f"{step_name(step.id)}: {axes.fault}: {axes.remedy}") from None


def _axes_on_maps(step: FindTarget, context: Context) -> ScanAxes | None:
    """Measure the axes of the scan on low-dose maps; None if they do not show them."""
    microscope, protocol = context.microscope, context.protocol
    scan = wide_scan(protocol, microscope.description, MAP_FIELDS["low"])

    def image_at(x_nm: float, y_nm: float) -> Frame:
        microscope.move(step.id, step.position.model_copy(update={"x_nm": x_nm, "y_nm": y_nm}))
        shot = microscope.acquire(step.id, "rotation", scan)
        microscope.charge_unkept(shot)
        return shot

    place_nm = (step.position.x_nm, step.position.y_nm)
    try:
        return measure_rotation(image_at, place_nm, scan, protocol.column.tilt_axis_deg)
    except OutOfLimitsError:  # the column offers no field so wide, or the stage goes no farther
        return None
