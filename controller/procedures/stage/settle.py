"""Wait after a stage move and, with a drift limit, until the drift is below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.hardware.interface import Frame
from controller.model.events import Level
from controller.model.exposures import DRIFT_SHOTS_APART_S
from controller.procedures.context import Context
from controller.procedures.tracking.centre import take_tracking_shot
from processing.images.shift import find_shifts


@dataclass(frozen=True)
class Drift:
    """Displacement of the object between two shots, and the time between them."""

    moved_nm: float
    interval_s: float

    @property
    def nm_per_s(self) -> float:
        """Mean drift rate."""
        return self.moved_nm / self.interval_s


def settle(context: Context, step_id: str) -> None:
    """Let the stage settle; with a drift limit, wait until it is met."""
    tracking = context.protocol.tracking
    context.microscope.wait(tracking.settle_s)
    if tracking.drift_limit_nm_per_s:
        wait_for_drift_limit(
            context, step_id, tracking.drift_limit_nm_per_s, tracking.drift_within_s
        )


def wait_for_drift_limit(
    context: Context, step_id: str, limit_nm_per_s: float, within_s: float
) -> Drift:
    """Take low-dose shots until the drift is below the limit; return the last drift measured.

    After `within_s` the session continues with a warning.
    """
    before = take_tracking_shot(context, step_id, "track-drift-0")
    started_s, shots = before.info.started_s, 0
    while True:
        context.operator.checkpoint()
        context.microscope.wait(DRIFT_SHOTS_APART_S)
        shots += 1
        now = take_tracking_shot(context, step_id, f"track-drift-{shots}")
        drift = measure_drift(before, now)
        if drift.nm_per_s <= limit_nm_per_s:
            return drift
        if now.info.started_s - started_s >= within_s:
            text = (
                f"still drifts by {drift.nm_per_s:.2f} nm/s after {within_s:g} s, "
                f"more than {limit_nm_per_s:g}: continuing"
            )
            context.alert(Level.WARNING, text, step_id)
            return drift
        before = now


def measure_drift(before: Frame, now: Frame) -> Drift:
    """Measure the drift between two shots by cross-correlation."""
    one, other = (frame.pixels.astype(np.float32)[None] for frame in (now, before))
    shift_px = float(np.hypot(*find_shifts(one, other).shifts_px[0]))
    interval_s = max(now.info.started_s - before.info.started_s, 1e-3)
    return Drift(shift_px * now.info.scan.pixel_nm, interval_s)
