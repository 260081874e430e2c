"""Sections `shower`, `series_a` and `series_b`: illumination before series A, and the tilts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controller.model.base import Settings
from controller.model.plausible import CURRENT, FIELD, SHOWER_TIME
from controller.model.tilt_order import TiltOrder, recording_order

TiltDeg = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]


class Shower(Settings):
    """Beam shower before series A, so that the assembly stops shrinking."""

    enabled: bool = True
    """True to illuminate the assembly before series A."""
    current_pA: Annotated[float, CURRENT] = 40.0
    """Beam current of the shower (pA)."""
    duration_s: Annotated[float, SHOWER_TIME] = 300.0
    """Total illumination time, shared equally by the tilts (s)."""
    tilts_deg: Annotated[tuple[TiltDeg, ...], Field(min_length=1)] = (-60.0, -30.0, 0.0, 30.0, 60.0)
    """Tilt angles at which the assembly is illuminated (degrees)."""
    field_nm: Annotated[float, FIELD] = 360.0
    """Side of the illuminated square (nm)."""


class SeriesSettings(Settings):
    """One tilt series between `start_deg` and `stop_deg`, both included."""

    start_deg: TiltDeg
    """First tilt angle of a one-way series (degrees)."""
    stop_deg: TiltDeg
    """Other end of the tilt range (degrees)."""
    step_deg: Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)] = 2.0
    """Tilt step (degrees)."""
    current_pA: Annotated[float, CURRENT] = 70.0
    """Beam current (pA)."""
    motion: Literal["stop-and-go", "continuous"] = "stop-and-go"
    """Stage motion. Continuous: each frame is exposed while the stage tilts through its angle."""
    order: TiltOrder = "one-way"
    """Recording order of the tilts. One-way: from start to stop. Bidirectional: from `first_deg` to
    the stop, then the other side. Dose-symmetric: from `first_deg`, alternating between sides.
    Golden: from `first_deg` in steps of the golden section of the range, which even a part of the
    series covers."""
    first_deg: TiltDeg = 0.0
    """Angle nearest to the first tilt of a series that is not one-way (degrees)."""
    end_when: Literal["complete", "settled"] = "complete"
    """End of the series. Complete: after all its tilts. Settled: as soon as the live count shows
    that more tilts would not change it; the rest is left out. Use it with the golden order."""
    group: Annotated[int, Field(ge=1, le=20)] = 2
    """Number of tilts recorded on one side before changing to the other (dose-symmetric)."""

    @model_validator(mode="after")
    def _begins_within_its_range(self) -> Self:
        low, high = sorted((self.start_deg, self.stop_deg))
        if self.order != "one-way" and not low <= self.first_deg <= high:
            raise ValueError(
                f"first_deg {self.first_deg:+g} is not within {low:+g} to {high:+g} degrees"
            )
        return self

    @model_validator(mode="after")
    def _goes_one_way_in_motion(self) -> Self:
        if self.motion == "continuous" and self.order != "one-way":
            raise ValueError(f"motion = 'continuous' needs order = 'one-way', not {self.order!r}")
        return self

    @model_validator(mode="after")
    def _ends_at_rest(self) -> Self:
        if self.motion == "continuous" and self.end_when != "complete":
            raise ValueError("end_when = 'settled' needs motion = 'stop-and-go'")
        return self

    @model_validator(mode="after")
    def _at_least_three_tilts(self) -> Self:
        if len(self.tilts_deg) < 3:
            raise ValueError("a series needs at least 3 tilts: widen the range or lower step_deg")
        return self

    @property
    def tilts_deg(self) -> tuple[float, ...]:
        """Nominal tilts in the order of recording (degrees)."""
        n = int(abs(self.stop_deg - self.start_deg) / self.step_deg + 1e-9) + 1
        step_deg = self.direction * self.step_deg
        tilts = [round(self.start_deg + i * step_deg, 6) for i in range(n)]
        return recording_order(tilts, self.order, self.first_deg, self.group)

    @property
    def direction(self) -> float:
        """Sign of the tilt from start to stop (+1 or -1), in which every tilt is approached."""
        return 1.0 if self.stop_deg >= self.start_deg else -1.0

    @property
    def sweep_deg(self) -> float:
        """Tilt of the stage during an exposure, centred on the nominal tilt; 0 if it is at rest."""
        return self.direction * self.step_deg if self.motion == "continuous" else 0.0

    @property
    def reach_deg(self) -> tuple[float, float]:
        """Lowest and highest angle that the stage reaches (degrees)."""
        beyond = abs(self.sweep_deg) / 2
        return min(self.tilts_deg) - beyond, max(self.tilts_deg) + beyond
