"""What no scripting says of a column and its installation: the operator writes it down once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Data, Positive

Sense = Literal[-1, 1]
"""1: as we count it; -1: the other way round."""
Area = Literal["FULL", "HALF", "QUARTER"]


class FieldOfView(Data):
    """One step of the magnification, calibrated."""

    magnification: Positive
    """As the column shows it in STEM."""
    field_nm: Positive
    """Side of the full scan at that magnification."""


class ColumnSettings(Data):
    """Settings every adapter knows."""

    inner_collection_mrad: Positive
    """Of the HAADF detector, at the camera length used."""
    outer_collection_mrad: Positive
    convergence_mrad: Positive | None = None
    """Semi-angle of the probe; None: read from the column, where it says so."""
    full_px: Annotated[int, Field(ge=16, le=8192)]
    """Side of an unbinned frame of the full field, pixels."""
    binnings: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    fields: Annotated[tuple[FieldOfView, ...], Field(min_length=1)]
    """Scripting sets a magnification, of which the column has steps; the pixel size follows."""
    field_tolerance: Annotated[float, Field(gt=0, lt=0.2)] = 0.01
    """How far a field may be from the one the protocol's pixel size asks for, as a share of it."""
    areas: Annotated[tuple[Area, ...], Field(min_length=1)] = ("FULL",)
    """Parts of the field that may be scanned; add HALF and QUARTER once their pixel size has been
    checked on the column."""
    pixel_type: Literal["uint16", "int16"] = "uint16"
    """What the counts are kept as; counts beyond its range are refused, not clipped."""
    shortest_dwell_us: Positive = 0.5
    current_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How far the screen current may be from the one wanted, as a share of it."""
    screen_settle_s: Positive = 2.0
    """From unblanking on the screen to a steady reading; the specimen is exposed meanwhile."""
    defocus_reach_nm: Positive | None = 3000.0
    """How far the defocus may be taken from where the bridge found it; None: never touched."""
    alpha_limit_deg: Positive | None = None
    """Tilts stay within this on both sides, where the holder allows less than the stage."""
    stage_within_s: Positive = 120.0
    """A move that takes longer is a stuck stage."""
    tilt_sense: Sense = 1
    """1: a positive tilt turns what lies towards the source towards +x."""
    z_sense: Sense = 1
    """1: a larger z lies nearer to the source."""
    rows_sense: Sense = 1
    """1: the first row recorded has the lowest y."""
