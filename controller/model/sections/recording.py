"""Sections `eucentric`, `focus`, `tracking` and `quality`: the recording of each tilt."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controller.model.base import Fraction, NotNegative, Positive, Settings


class Eucentric(Settings):
    """Eucentric height: the specimen is brought onto the tilt axis before each series."""

    enabled: bool = False
    """True to set the eucentric height before each series."""
    tilt_deg: Annotated[float, Field(ge=2, le=60)] = 30.0
    """Tilt of the low-dose shots on both sides (degrees); a higher tilt gives a better height."""


class FocusSettings(Settings):
    """Autofocus with low-dose shots at several defocus values."""

    before_series: bool = False
    """True to focus on the specimen at 0 degrees before each series."""
    every_deg: NotNegative = 0.0
    """Tilt interval of the autofocus beside the specimen during a series (degrees); 0: never."""
    beside_fields: Annotated[float, Field(ge=1, le=20)] = 1.5
    """Distance of the focus area from the specimen along the tilt axis, in frame heights."""

    @model_validator(mode="after")
    def _compared_first(self) -> Self:
        if self.every_deg and not self.before_series:
            raise ValueError(
                "every_deg needs before_series = true, which compares focus area and specimen"
            )
        return self


class Tracking(Settings):
    """Tracking: keeping the object in the field of view."""

    enabled: bool = True
    """True to locate the object with low-dose tracking shots."""
    max_shift_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """Maximum shift of the object in a frame, as a fraction of the field of view; beyond it the
    stage is corrected and the tilt retaken."""
    low_dose_dwell_fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Dwell time of a tracking shot, as a fraction of that of a frame."""
    shot_above_fraction: Annotated[float, Field(ge=0, le=0.2)] = 0.0
    """Error of the predicted position above which a tracking shot is taken, as a fraction of the
    field of view; 0: at every tilt."""
    settle_s: NotNegative = 1.0
    """Settling time after every move to a tilt (s)."""
    drift_limit_nm_per_s: NotNegative = 0.0
    """Drift below which a frame is exposed, from low-dose shots (nm/s); 0: not measured."""
    drift_within_s: Positive = 60.0
    """Longest wait for that drift (s); then the session continues with a warning."""


class Quality(Settings):
    """Quality limits of a frame; a frame outside them is retaken."""

    max_retakes: Annotated[int, Field(ge=0, le=5)] = 1
    """Maximum number of retakes of one tilt."""
    dim_fraction: Fraction = 0.2
    """Smallest signal of a usable frame, as a fraction of the expected signal."""
    saturated_fraction: Fraction = 0.01
    """Largest fraction of saturated pixels in a usable frame."""
    saturated: Literal["mark", "stop"] = "mark"
    """Action on a saturated frame: keep it with a warning, or stop the session safely."""
