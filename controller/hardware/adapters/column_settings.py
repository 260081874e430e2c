"""Settings of an installation that scripting does not report; the operator enters them once."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.model.base import Data, Positive

Sense = Literal[-1, 1]
"""1: same direction as our axis; -1: opposite direction."""
Area = Literal["FULL", "HALF", "QUARTER"]


class FieldOfView(Data):
    """One calibrated magnification step."""

    magnification: Positive
    """Magnification in STEM, as the column displays it."""
    field_nm: Positive
    """Side of the full scan at this magnification."""


class ColumnSettings(Data):
    """Settings common to all adapters."""

    inner_collection_mrad: Positive
    """Inner collection angle of the HAADF detector at the camera length in use."""
    outer_collection_mrad: Positive
    convergence_mrad: Positive | None = None
    """Semi-angle of the probe; None: read from the column if it reports one."""
    full_px: Annotated[int, Field(ge=16, le=8192)]
    """Side of an unbinned frame of the full field (pixels)."""
    binnings: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (1, 2, 4, 8)
    fields: Annotated[tuple[FieldOfView, ...], Field(min_length=1)]
    """Magnification steps of the column. Scripting sets one of them, which sets the pixel size."""
    field_tolerance: Annotated[float, Field(gt=0, lt=0.2)] = 0.01
    """Largest relative difference between the field of a step and the one the protocol needs."""
    areas: Annotated[tuple[Area, ...], Field(min_length=1)] = ("FULL",)
    """Scan areas in use; add HALF and QUARTER once their pixel size has been checked at the
    column."""
    pixel_type: Literal["uint16", "int16"] = "uint16"
    """Pixel type of the frames; counts outside its range are refused, not clipped."""
    shortest_dwell_us: Positive = 0.5
    current_tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Largest relative difference between the screen current and the requested one."""
    screen_settle_s: Positive = 2.0
    """Time until the screen current is steady after unblanking; it exposes the specimen."""
    defocus_reach_nm: Positive | None = 3000.0
    """Largest change of defocus from the value at the bridge's start; None: never changed."""
    alpha_limit_deg: Positive | None = None
    """Tilt limit to both sides, if the holder allows less than the stage."""
    stage_within_s: Positive = 120.0
    """Longest duration of a stage move; after it the stage counts as stuck."""
    tilt_sense: Sense = 1
    """1: a positive tilt moves what is nearer to the source towards +x."""
    z_sense: Sense = 1
    """1: a larger z is nearer to the source."""
    rows_sense: Sense = 1
    """1: the first row recorded has the lowest y."""
