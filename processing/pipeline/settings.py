"""Settings of processing that the user can choose."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from processing.results import FusionRule

if TYPE_CHECKING:
    from processing.shapes.body import Body


class NamedParticles(BaseModel):
    """Name of one kind of particles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,15}$")
    """Species in XYZ files, as Au."""
    diameter_nm: float | None = Field(default=None, gt=0)
    """Diameter by which the kind is recognised; no measurement starts from it."""


class ProcessSettings(BaseModel):
    """Settings of processing. The defaults need no knowledge of the specimen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    diameter_nm: float | None = Field(default=None, gt=0)
    """Particle diameter (nm); estimated if not given."""
    shape: str | None = None
    """Shape of the particles with its size, as `parse_shape` reads it; spheres if not given."""
    particles: tuple[NamedParticles, ...] = Field(default=(), max_length=2)
    """Names of the kinds of particles, the brightest first."""
    sirt_iterations: int = Field(default=20, ge=1, le=1000)
    """Number of SIRT iterations, with momentum: 20 fit the images as well as 60 plain ones."""
    ssr_iterations: int = Field(default=20, ge=1, le=1000)
    """Number of SSR iterations. More would turn noise on the exit side into particles."""
    fusion_rule: FusionRule = FusionRule.MASKED
    """Rule by which the volumes of A and B are fused."""
    wavelet: Literal["haar"] = "haar"
    level: int = Field(default=2, ge=1, le=6)
    """Number of levels of the wavelet decomposition."""
    controls: bool | tuple[FusionRule, ...] = False
    """Fusion rules whose volumes are counted as well, without the images; true for all rules."""
    own_diameters: bool = True
    """Measure the diameter of each particle of equal ones too; live counts do without."""
    analysis: bool = True
    """Measure the standard errors of the positions and analyse the structure, a fifth of the time.
    Comparisons of counts with a known truth do without."""
    second_size: bool = True
    """Search particles of a second size where the brightness of the others hints at one."""
    thorough: bool = True
    """Repeat the fit to a single series until the places stand still, and try places that the
    volume does not show; live counts do without."""
    memory_limit_GB: float = Field(default=6.0, gt=0)
    """Memory for volumes (GB). Above it they are stored in files and processed in slabs."""
    bin: int | None = Field(default=None, ge=1, le=64)
    """Side of the square of pixels that is averaged to one; chosen for the particles if not given.
    """
    crop_px: tuple[int, int, int, int] | None = None
    """First column, first row, width and height of the part of the images that is processed;
    the region of the object if not given."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the computation: a GPU where there is one, or the one named."""

    @property
    def known_diameter_nm(self) -> float | None:
        """Diameter that was given, or the width of the given shape; None if it is estimated."""
        if self.diameter_nm is None and self.body is not None:
            return self.body.width_nm
        return self.diameter_nm

    @cached_property
    def body(self) -> Body | None:
        """Body of the given shape; None for spheres."""
        if self.shape is None:
            return None
        # loaded only now: settings are read where processing is not
        from processing.shapes.body import parse_shape

        return parse_shape(self.shape)

    @property
    def control_rules(self) -> tuple[FusionRule, ...]:
        """Fusion rules that `controls` asks for."""
        if isinstance(self.controls, bool):
            return tuple(FusionRule) if self.controls else ()
        return self.controls
