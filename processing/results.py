"""Typed results of processing: what summary.json holds and what a notebook gets back."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SeriesName = Literal["A", "B"]
FusionRule = Literal["masked", "paper", "mean", "depth-weighted"]


class Result(BaseModel):
    """Frozen and closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Count(Result):
    """A number of particles with its 95 % interval."""

    n: int = Field(ge=0)
    n_low: int = Field(ge=0)
    n_high: int = Field(ge=0)


class Diameter(Result):
    """The sphere diameter used, and where it came from."""

    value: float = Field(gt=0)
    source: Literal["given", "estimated"]
    from_pair_distance: float | None = None
    """Cross-check: the particle spacing at the first peak of g(r), nm."""


class SeriesSummary(Result):
    """One tilt series after alignment and reconstruction."""

    tilts: int
    """Images used."""
    excluded: list[int]
    """Indices of the images left out, with reasons in `warnings`."""
    align_rms_px: float
    """Residual misfit of the aligned images to their re-projection, rms over tilts."""
    tilt_axis_deg: float
    """In-plane angle of the tilt axis found, away from the image's y."""


class Registration(Result):
    """B onto A: p_A = scale * matrix . p_B + shift_nm, xyz, nm, about the volumes' centres."""

    matrix: list[list[float]]
    """3 x 3, proper (det +1)."""
    shift_nm: tuple[float, float, float]
    score: float
    """Share of the particles that find a partner at the optimum, 0..1."""
    runner_up: float
    """The best share at any other optimum: one lattice step away, unflipped or mirrored."""
    in_plane_deg: float
    """phi of p_B = Rz(phi) . Rseat . F . p_A."""
    seat_tilt_deg: float
    scale: float = 1.0
    """Size of A over size of B (shrinkage between the two)."""
    rms_nm: float
    """Distance of matched particle centres."""


class Fusion(Result):
    """How A and B were brought into one volume."""

    rule: FusionRule
    wavelet: str
    level: int


class Counts(Result):
    """Particles found in each volume."""

    A: Count
    B: Count | None = None
    fused: Count | None = None


class Summary(Result):
    """summary.json."""

    counts: Counts
    diameter_nm: Diameter
    series: dict[SeriesName, SeriesSummary]
    registration: Registration | None = None
    fusion: Fusion | None = None
    pixel_nm: float
    warnings: list[str] = []
    files: dict[str, str] = {}
    """Role -> path relative to the session's folder."""
