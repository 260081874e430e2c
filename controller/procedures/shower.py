"""One tilt of the beam shower: illuminated in slices, so that it can be paused and resumed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.hardware.interface import Frame
from controller.model.events import Showered, ShowerSliceStarted
from controller.model.stage import StagePosition
from controller.model.steps import ShowerTilt
from controller.procedures.context import Context
from controller.procedures.show_image import show
from controller.procedures.stage.settle import Drift, drift_between
from controller.procedures.tracking.centre import shoot
from controller.procedures.tracking.locate import sight
from controller.session.entries import StepDone
from controller.session.ledger import Ledger

SLICE_S = 20.0
"""At the longest, between two looks at the operator's wishes."""


@dataclass(frozen=True)
class Look:
    """A shot of the assembly; without a size where none is seen."""

    frame: Frame
    size_nm: float | None


def carry_out(step: ShowerTilt, context: Context) -> None:
    """Go to the tilt, shower it, look how large the assembly is; the first verifies the current."""
    column, ledger = context.microscope, context.session.ledger
    verify = column.set_current if step.elapsed_before_s == 0.0 else column.have_current
    verify(step.id, step.current_pA)
    column.move(step.id, ledger.centre.model_copy(update={"alpha_deg": step.alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)
    purposes = [f"slice-{i}" for i in range(math.ceil(step.illuminate_s / SLICE_S))]
    slice_s = step.illuminate_s / len(purposes)
    # after a crash, what the specimen has had is not given twice
    to_give = [purpose for purpose in purposes if not _was_given(step, purpose, ledger)]
    before = _look(step, context, "size-before")
    _tell(step, context, step.illuminate_s - len(to_give) * slice_s, before)
    for left, purpose in zip(range(len(to_give))[::-1], to_give, strict=True):
        context.operator.checkpoint()
        context.publish(ShowerSliceStarted(duration_s=slice_s))
        column.illuminate(step.id, purpose, slice_s, step.field_nm)
        if left:
            _tell(step, context, step.illuminate_s - left * slice_s)
    after = _look(step, context, "size-after")
    _tell(step, context, step.illuminate_s, after, _drift(before, after))
    context.session.enter(StepDone(step_id=step.id, centre=_centre(column.stage())))


def _was_given(step: ShowerTilt, purpose: str, ledger: Ledger) -> bool:
    """Tell whether a slice was exposed: one that was refused before the beam came on was not."""
    return any(
        exposure.settled and exposure.dose_e_per_A2 > 0.0
        for exposure in ledger.exposures.values()
        if (exposure.intent.step_id, exposure.intent.purpose) == (step.id, purpose)
    )


def _look(step: ShowerTilt, context: Context, purpose: str) -> Look:
    frame = shoot(context, step.id, purpose)
    show(context, step.id, "frame", frame.pixels, f"shower {step.alpha_deg:+.0f}°")
    sighting = sight(frame.pixels)
    size_nm = sighting.size_px * frame.info.scan.pixel_nm if sighting else None
    return Look(frame, size_nm)


def _drift(before: Look, after: Look) -> Drift | None:
    """What moved between two looks; None where one of them shows no assembly."""
    if before.size_nm is None or after.size_nm is None:
        return None
    return drift_between(before.frame, after.frame)


def _tell(
    step: ShowerTilt,
    context: Context,
    elapsed_s: float,
    look: Look | None = None,
    drift: Drift | None = None,
) -> None:
    """Publish how far the shower is at this tilt, and what a look has shown."""
    context.publish(
        Showered(
            alpha_deg=step.alpha_deg,
            elapsed_s=step.elapsed_before_s + elapsed_s,
            planned_s=step.planned_s,
            dose_e_per_A2=context.session.ledger.dose_e_per_A2,
            size_nm=look.size_nm if look else None,
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
