"""Section `limits`: stage, dose, beam current and disk space."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Fraction, Positive, Settings
from controller.model.stage import StageLimits


class Limits(Settings):
    """Limits of stage, dose, beam current and disk space."""

    stage: StageLimits = StageLimits()
    """Soft limits of the stage."""
    unreachable_tilt: Literal["pause", "skip"] = "pause"
    """Action if the stage refuses a tilt twice or does not move: pause, or skip the tilt."""
    dose_budget_e_per_A2: Positive = 60_000.0
    """Maximum dose of the whole session (e/Å²)."""
    current_tolerance: Fraction = 0.1
    """Maximum difference between measured and set beam current, as a fraction."""
    free_disk_margin: Annotated[float, Field(ge=1, le=100)] = 2.0
    """Free disk space needed before the start, as a multiple of the size of the raw data. The files
    of processing are added once."""
