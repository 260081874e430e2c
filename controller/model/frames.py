"""Recorded frames of a tilt series: one record, extended from the step that makes it to the screen.

A frame has a section, its place in the stack (0-based), and a tilt number, its place in the plan
(1-based). The two differ once a tilt was recorded again or skipped.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from controller.model.base import Data, SeriesName


class FrameVerdict(StrEnum):
    """Quality of a frame as it was recorded."""

    OK = "ok"
    DIM = "dim"
    SATURATED = "saturated"
    SHIFTED = "shifted"
    """The object is off the centre of the image, or not in it."""
    INVALID = "invalid"
    """No image: blank, not a number, or the previous frame again."""


class FrameFacts(Data):
    """Facts of a frame that its step knows, apart from the microscope's own record."""

    step_id: str
    series: SeriesName
    tilt_number: Annotated[int, Field(ge=1)]
    """Number of the tilt in the plan of its series, from 1."""
    nominal_deg: float
    """Planned tilt angle."""
    mean_counts: float
    shift_px: tuple[float, float]
    """(y, x) shift against the good frame nearest in tilt, as tracking measured it."""
    offset_px: tuple[float, float] | None = None
    """(y, x) of the object's centre from the image's centre; None where no object was found."""
    verdict: FrameVerdict
    retakes: Annotated[int, Field(ge=0)]
    """Frames of this tilt that were rejected before this one."""
    correlation: float | None = None
    """Correlation with the previous frame, at the scale of the particles, one tilt away."""


class RecordedFrame(FrameFacts):
    """A frame that is safe on disk."""

    section: Annotated[int, Field(ge=0)]
    """Place in the stack, from 0."""
    actual_deg: float
    """Tilt angle that the stage reported."""

    @property
    def name(self) -> str:
        """Name for people: ``A#12``."""
        return tilt_name(self.series, self.tilt_number)


def tilt_name(series: SeriesName, tilt_number: int) -> str:
    """Name of a tilt for people: ``A#12`` is the twelfth of series A."""
    return f"{series}#{tilt_number}"
