"""Targets: several assemblies on one grid, each recorded as a session of its own around one flip.

A protocol without `targets` is a session of one assembly. With `targets` and no `target` it is the
grid: its own session flips the grid and finds the targets again. With both it is the session of
one target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue

from controller.common.settings_file import FolderName
from controller.model.base import Data, Finite, Settings
from controller.model.plausible import SEARCH, TOLERANCE

OVERRIDABLE = ("scan", "shower", "series_a", "series_b", "limits", "processing")
"""Sections of the protocol that a target may change."""

Changes = dict[str, JsonValue]


class Target(Settings):
    """One assembly: its place on the grid, and the settings that differ for it."""

    name: FolderName
    """Name of the target, also that of its session's folder."""
    x_nm: Finite
    """Stage position in x that centres the assembly before the flip (nm)."""
    y_nm: Finite
    """Stage position in y that centres the assembly before the flip (nm)."""
    z_nm: Finite = 0.0
    """Stage position in z before the flip (nm)."""
    scan: Changes = Field(default_factory=dict)
    """Settings of `scan` that differ for this target."""
    shower: Changes = Field(default_factory=dict)
    """Settings of `shower` that differ for this target."""
    series_a: Changes = Field(default_factory=dict)
    """Settings of `series_a` that differ for this target."""
    series_b: Changes = Field(default_factory=dict)
    """Settings of `series_b` that differ for this target."""
    limits: Changes = Field(default_factory=dict)
    """Settings of `limits` that differ for this target."""
    processing: Changes = Field(default_factory=dict)
    """Settings of `processing` that differ for this target."""


class GridSettings(Settings):
    """Search for the targets after the flip."""

    search_nm: Annotated[float, SEARCH] = 2000.0
    """Largest shift of the grid in the holder by the flip (nm). The survey after the flip reaches
    this far beyond the targets."""
    tolerance_nm: Annotated[float, TOLERANCE] = 100.0
    """Largest difference of a target's position on the survey from the common fit (nm)."""


def with_changes(content: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Return the content of a protocol with the settings of a target."""
    merged = {**content, "target": target.name}
    for section in OVERRIDABLE:
        merged[section] = {**content[section], **getattr(target, section)}
    return merged


class FoundTargets(Data):
    """Targets found again on the flipped grid."""

    detail: str
    """Finding in one line."""
    in_plane_deg: float | None
    """Rotation of the grid in its plane; None if the positions leave several."""
    places_nm: dict[str, tuple[tuple[float, float], ...]]
    """Stage positions (x, y) at which each target may be, the most likely first."""
    seen: tuple[str, ...]
    """Targets whose position fits the common mirror, rotation and shift."""
    in_plane_limit_deg: float = 180.0
    """Largest difference of a target's own rotation, as its images show it, from `in_plane_deg`."""
