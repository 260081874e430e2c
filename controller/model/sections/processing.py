"""Section `processing`: reconstruction, fusion and count."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.common.settings_file import KIND_NAME_PATTERN
from controller.model.base import Settings
from controller.model.fusion_rules import FusionRule
from controller.model.plausible import DIAMETER, MEMORY


class NamedParticles(Settings):
    """Name of one kind of particles."""

    name: Annotated[str, Field(pattern=KIND_NAME_PATTERN)]
    """Name of the kind, as Au: the species in XYZ files."""
    diameter_nm: Annotated[float, DIAMETER] | None = None
    """Diameter (nm) by which the kind is recognised; no measurement starts from it."""


class Processing(Settings):
    """Settings of the reconstruction, fusion and count."""

    diameter_nm: Annotated[float, DIAMETER] | None = None
    """Particle diameter (nm); estimated when left out."""
    particles: Annotated[tuple[NamedParticles, ...], Field(max_length=2)] = ()
    """Names of the kinds of particles, the brightest first."""
    sirt_iterations: Annotated[int, Field(ge=1, le=1000)] = 20
    """Number of SIRT iterations."""
    fusion_rule: FusionRule = FusionRule.MASKED
    """Rule that fuses the volumes of A and B."""
    wavelet: Literal["haar"] = "haar"
    """Wavelet of the fusion."""
    level: Annotated[int, Field(ge=1, le=6)] = 2
    """Number of levels of the wavelet transform."""
    controls: bool | tuple[FusionRule, ...] = False
    """Fusion rules whose volumes are also counted, without the images; true: all rules."""
    memory_limit_GB: Annotated[float, MEMORY] = 6.0
    """Largest volumes held in memory (GB); larger ones are processed in slabs, from files."""
    bin: Annotated[int, Field(ge=1, le=64)] | None = None
    """Side of the square of pixels that is averaged to one; chosen for the particles when left
    out."""
    crop_px: tuple[int, int, int, int] | None = None
    """First column, first row, width and height of the part of the images that is processed; the
    region of the object when left out."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device that computes: an NVIDIA GPU where there is one, or the one named."""
