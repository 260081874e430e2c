"""What a user may choose about processing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from processing.results import FusionRule


class ProcessSettings(BaseModel):
    """Frozen and closed; the defaults need no knowledge of the specimen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    diameter_nm: float | None = Field(default=None, gt=0)
    """Of the particles; estimated when left out."""
    sirt_iterations: int = Field(default=20, ge=1, le=1000)
    """With momentum: 20 explain the images as well as 60 plain ones."""
    ssr_iterations: int = Field(default=20, ge=1, le=1000)
    """More of them take noise for particles on the exit side of a single series."""
    fusion_rule: FusionRule = "masked"
    wavelet: Literal["haar"] = "haar"
    level: int = Field(default=2, ge=1, le=6)
    controls: bool = False
    """Count what each fusion rule's volume gives by itself, the plain mean among them, as well."""
    memory_limit_GB: float = Field(default=6.0, gt=0)
    """Of volumes held at once; beyond it they are worked in slabs, from files."""
