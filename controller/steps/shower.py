"""One tilt of the beam shower: illuminated in slices, so that it can be paused and resumed."""

from __future__ import annotations

import math
from typing import Literal

from controller.events import Phase, Showered
from controller.microscope.interface import Positive, StagePosition
from controller.session.entries import StepDone
from controller.steps.base import StepData
from controller.steps.context import Context
from controller.steps.showing import show
from controller.steps.sighting import sight
from controller.steps.tracking import shoot

SLICE_S = 20.0
"""At the longest, between two looks at the operator's wishes."""


class ShowerTilt(StepData):
    kind: Literal["shower"] = "shower"
    phase: Phase = Phase.SHOWER
    alpha_deg: float
    current_pA: Positive
    illuminate_s: Positive
    field_nm: Positive
    elapsed_before_s: float
    """Shower already given at the tilts before."""
    planned_s: float
    """Of the whole shower."""


def carry_out(step: ShowerTilt, context: Context) -> None:
    """Go to the tilt, shower it, look how large the assembly is; the first verifies the current."""
    column = context.column
    verify = column.set_current if step.elapsed_before_s == 0.0 else column.have_current
    verify(step.id, step.current_pA)
    centre = context.session.ledger.centre
    column.move(step.id, centre.model_copy(update={"alpha_deg": step.alpha_deg}))
    column.wait(context.protocol.tracking.settle_s)
    _tell(step, context, 0.0, "size-before")
    n = math.ceil(step.illuminate_s / SLICE_S)
    for i in range(n):
        context.operator.checkpoint()
        _give_slice(step, context, f"slice-{i}", step.illuminate_s / n)
        _tell(step, context, (i + 1) * step.illuminate_s / n, f"size-{i}" if i == n - 1 else None)
    context.session.enter(StepDone(step_id=step.id, centre=_centre(column.stage())))


def _give_slice(step: ShowerTilt, context: Context, purpose: str, duration_s: float) -> None:
    ledger = context.session.ledger
    given = ledger.attempts(step.id, purpose) > 0 and ledger.pending(step.id, purpose) is None
    if not given:  # after a crash, what the specimen has had is not given twice
        context.column.illuminate(step.id, purpose, duration_s, step.field_nm)


def _tell(step: ShowerTilt, context: Context, elapsed_s: float, size_shot: str | None) -> None:
    size_nm = None
    if size_shot is not None:
        pixels = shoot(context, step.id, size_shot).pixels
        show(context, step.id, "frame", pixels, f"shower {step.alpha_deg:+.0f}°")
        sighting = sight(pixels)
        size_nm = sighting.size_px * context.protocol.scan.pixel_nm if sighting else None
    context.publish(
        Showered(
            alpha_deg=step.alpha_deg,
            elapsed_s=step.elapsed_before_s + elapsed_s,
            planned_s=step.planned_s,
            dose_e_per_A2=context.session.ledger.dose_e_per_A2,
            size_nm=size_nm,
        )
    )


def _centre(stage: StagePosition) -> StagePosition:
    return stage.model_copy(update={"alpha_deg": 0.0})
