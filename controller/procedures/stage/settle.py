"""After a move: wait, and where it is asked for, until the object has stopped drifting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.hardware.interface import Frame
from controller.model.events import Level
from controller.model.exposures import DRIFT_SHOTS_APART_S
from controller.procedures.context import Context
from controller.procedures.tracking.centre import shoot
from processing.images.shift import find_shifts


@dataclass(frozen=True)
class Drift:
    """How far something has moved, and in what time."""

    moved_nm: float
    apart_s: float

    @property
    def nm_per_s(self) -> float:
        """Mean speed."""
        return self.moved_nm / self.apart_s


def settle(context: Context, step_id: str) -> None:
    """Let the stage settle; with a drift limit, go on looking until it is met."""
    tracking = context.protocol.tracking
    context.microscope.wait(tracking.settle_s)
    if tracking.drift_limit_nm_per_s:
        await_rest(context, step_id, tracking.drift_limit_nm_per_s, tracking.drift_within_s)


def await_rest(context: Context, step_id: str, limit_nm_per_s: float, within_s: float) -> Drift:
    """Look at low dose until what is in view drifts no faster than the limit; return the last look.

    A specimen that never stops drifting is waited for as long as is allowed; then a warning is
    all there is.
    """
    before = shoot(context, step_id, "track-drift-0")
    started_s, looks = before.info.started_s, 0
    while True:
        context.operator.checkpoint()
        context.microscope.wait(DRIFT_SHOTS_APART_S)
        looks += 1
        now = shoot(context, step_id, f"track-drift-{looks}")
        drift = drift_between(before, now)
        if drift.nm_per_s <= limit_nm_per_s:
            return drift
        if now.info.started_s - started_s >= within_s:
            text = (
                f"still drifts by {drift.nm_per_s:.2f} nm/s after {within_s:g} s, "
                f"more than {limit_nm_per_s:g}: going on"
            )
            context.alert(Level.WARNING, text, step_id)
            return drift
        before = now


def drift_between(before: Frame, now: Frame) -> Drift:
    """Find how far what two shots show has moved from one to the other."""
    one, other = (frame.pixels.astype(np.float32)[None] for frame in (now, before))
    shift_px = float(np.hypot(*find_shifts(one, other).shifts_px[0]))
    apart_s = max(now.info.started_s - before.info.started_s, 1e-3)
    return Drift(shift_px * now.info.scan.pixel_nm, apart_s)
