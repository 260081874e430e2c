"""Settings of a Thermo Fisher column beyond those of any."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.microscope.adapters.settings import ColumnSettings
from controller.microscope.interface import Data, Positive

Area = Literal["FULL", "HALF", "QUARTER"]


class FieldOfView(Data):
    """One step of the magnification, calibrated."""

    magnification: Positive
    """As the column shows it in STEM."""
    field_nm: Positive
    """Side of the full scan at that magnification."""


class ThermoSettings(ColumnSettings):
    """What TEM Scripting does not say."""

    detector: str = "HAADF"
    """As the scripting names it."""
    fields: Annotated[tuple[FieldOfView, ...], Field(min_length=1)]
    """TEM Scripting sets a magnification, of which the column has steps; the pixel size follows."""
    field_tolerance: Annotated[float, Field(gt=0, lt=0.2)] = 0.01
    """How far a field may be from the one the protocol's pixel size asks for, as a share of it."""
    areas: Annotated[tuple[Area, ...], Field(min_length=1)] = ("FULL",)
    """Parts of the field that may be scanned; add HALF and QUARTER once their pixel size has been
    checked on the column."""
