"""One tilt of the beam shower, illuminated in slices so that it can be paused and resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.hardware.interface import Frame
from controller.model.events import Showered, ShowerSliceStarted
from controller.model.stage import StagePosition
from controller.model.steps import ShowerTilt
from controller.procedures.context import Context
from controller.procedures.show_image import show
from controller.procedures.stage.settle import Drift, measure_drift
from controller.procedures.tracking.centre import take_tracking_shot
from controller.procedures.tracking.locate import locate_object
from controller.session.entries import StepDone
from controller.session.ledger import Ledger

SLICE_S = 20.0
"""Longest slice: a pause or stop takes effect between slices."""


@dataclass(frozen=True)
class SizeMeasurement:
    """Tracking shot and the assembly's diameter in it; None if no assembly is found."""

    frame: Frame
    size_nm: float | None


def carry_out(step: ShowerTilt, context: Context) -> None:
    """Move to the tilt, illuminate, measure the assembly's size before and after.

    The current is verified at the first tilt; later only if its last measurement is off.
    """
    microscope, ledger = context.microscope, context.session.ledger
    verify = microscope.set_current if step.elapsed_before_s == 0.0 else microscope.ensure_current
    verify(step.id, step.current_pA)
    microscope.move(step.id, ledger.centre.model_copy(update={"alpha_deg": step.alpha_deg}))
    microscope.wait(context.protocol.tracking.settle_s)
    purposes = [f"slice-{i}" for i in range(math.ceil(step.illuminate_s / SLICE_S))]
    slice_s = step.illuminate_s / len(purposes)
    # after a crash, slices already exposed are not repeated
    remaining = [purpose for purpose in purposes if not _was_exposed(step, purpose, ledger)]
    before = _measure_size(step, context, "size-before")
    _publish_progress(step, context, step.illuminate_s - len(remaining) * slice_s, before)
    for left, purpose in zip(range(len(remaining))[::-1], remaining, strict=True):
        context.operator.checkpoint()
        context.publish(ShowerSliceStarted(duration_s=slice_s))
        microscope.illuminate(step.id, purpose, slice_s, step.field_nm)
        if left:
            _publish_progress(step, context, step.illuminate_s - left * slice_s)
    after = _measure_size(step, context, "size-after")
    _publish_progress(step, context, step.illuminate_s, after, _drift(before, after))
    context.session.enter(StepDone(step_id=step.id, centre=_centre(microscope.stage())))


def _was_exposed(step: ShowerTilt, purpose: str, ledger: Ledger) -> bool:
    """Tell whether a slice was exposed: one that was refused before the beam came on was not."""
    return any(
        exposure.settled and exposure.dose_e_per_A2 > 0.0
        for exposure in ledger.exposures.values()
        if (exposure.intent.step_id, exposure.intent.purpose) == (step.id, purpose)
    )


def _measure_size(step: ShowerTilt, context: Context, purpose: str) -> SizeMeasurement:
    frame = take_tracking_shot(context, step.id, purpose)
    pixel_nm, caption = frame.info.scan.pixel_nm, f"shower {step.alpha_deg:+.0f}°"
    show(context, step.id, "frame", frame.pixels, pixel_nm, caption)
    location = locate_object(frame.pixels)
    size_nm = location.size_px * frame.info.scan.pixel_nm if location else None
    return SizeMeasurement(frame, size_nm)


def _drift(before: SizeMeasurement, after: SizeMeasurement) -> Drift | None:
    """Measure the drift between two shots; None if one of them shows no assembly."""
    if before.size_nm is None or after.size_nm is None:
        return None
    return measure_drift(before.frame, after.frame)


def _publish_progress(
    step: ShowerTilt,
    context: Context,
    elapsed_s: float,
    measured: SizeMeasurement | None = None,
    drift: Drift | None = None,
) -> None:
    """Publish the progress of the shower, with the size and drift measured."""
    context.publish(
        Showered(
            alpha_deg=step.alpha_deg,
            elapsed_s=step.elapsed_before_s + elapsed_s,
            planned_s=step.planned_s,
            dose_e_per_A2=context.session.ledger.dose_e_per_A2,
            size_nm=measured.size_nm if measured else None,
            angle=round(step.elapsed_before_s / step.illuminate_s) + 1,
            angles=round(step.planned_s / step.illuminate_s),
            angle_elapsed_s=elapsed_s,
            angle_planned_s=step.illuminate_s,
            drift_nm=drift.moved_nm if drift else None,
            drift_nm_per_s=drift.nm_per_s if drift else None,
        )
    )


def _centre(stage: StagePosition) -> StagePosition:
    return stage.model_copy(update={"alpha_deg": 0.0})
