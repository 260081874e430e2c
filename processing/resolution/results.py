"""Results of the resolution measurement, as they stand in resolution.json."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from processing.resolution.shells import THRESHOLD, Sector, ShellCorrelation


class Volume(StrEnum):
    """Volume whose halves are compared."""

    A = "A"
    B = "B"
    FUSED = "fused"


class PartResolution(BaseModel):
    """Resolution of a part of a volume."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume: Volume
    sector: Sector
    """Direction; along x, the tilt axis y, or the beam z at 0 degrees."""
    depth_nm: float | None
    """Height of the layer above the middle of the volume (nm); None for the whole volume."""
    resolution_nm: float | None
    """Finest detail (nm); None if the voxels limit it."""


class Resolution(BaseModel):
    """Contents of resolution.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float = THRESHOLD
    voxel_limit_nm: float
    """Finest detail that the voxels can show: two voxels (nm)."""
    parts: list[PartResolution]


@dataclass(frozen=True, eq=False)
class Measured:
    """Correlation of the halves of a part of a volume, with the resolution that follows."""

    part: PartResolution
    curve: ShellCorrelation
