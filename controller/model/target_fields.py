"""Fields on the grid that each target's session exposes; no exposure may reach a neighbour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from controller.model.scan import ScanSettings
from controller.model.sections.series import SeriesSettings, Shower
from controller.model.targets import Target

STEEPEST_FIELD_DEG = 85.0
"""Steepest tilt for which the extent of a field on the grid is calculated (degrees)."""
MAX_PAIRS = 3
"""Most pairs of targets that one message lists."""
ONE_PLACE_NM = 10.0
"""Largest distance between targets that were probably written in another unit (nm)."""


@dataclass(frozen=True)
class TargetField:
    """Extent of what a target's session exposes and records, from the target's position.

    Attributes
    ----------
    name, x_nm, y_nm
        The target.
    exposed_x_nm, exposed_y_nm
        Half of the field that is exposed before the flip, along x and y on the grid.
    exposed_nm
        Half of the field that is exposed after the flip, in any direction: the in-plane angle is
        not known.
    object_nm
        Half of the field that is recorded: the object lies within it.
    """

    name: str
    x_nm: float
    y_nm: float
    exposed_x_nm: float
    exposed_y_nm: float
    exposed_nm: float
    object_nm: float


def neighbours_exposed(fields: Sequence[TargetField]) -> Iterator[str]:
    """Give one line for each pair of targets too close to each other, and one for the others.

    No order of the targets avoids this: while one is exposed, the other is not finished.
    """
    pairs = [text for one, other in combinations(fields, 2) if (text := _too_close(one, other))]
    lines = pairs[:MAX_PAIRS]
    if len(pairs) > MAX_PAIRS:
        lines[-1] += f"; and {len(pairs) - MAX_PAIRS} more"
    if lines and all(
        math.hypot(each.x_nm - fields[0].x_nm, each.y_nm - fields[0].y_nm) < ONE_PLACE_NM
        for each in fields
    ):
        lines[-1] += "; are x_nm and y_nm in nm?"
    yield from lines


def _too_close(one: TargetField, other: TargetField) -> str:
    """Return which target's exposures reach the other and how far; empty if neither does."""
    exposed, reached = max([(one, other), (other, one)], key=lambda pair: _needed_nm(*pair))
    needed_nm = _needed_nm(exposed, reached)
    if not needed_nm:
        return ""
    distance_nm = math.hypot(one.x_nm - other.x_nm, one.y_nm - other.y_nm)
    return (
        f"exposures of {exposed.name} reach {reached.name}, {distance_nm:.0f} nm away; "
        f"{needed_nm:.0f} nm are needed at these tilts: leave one of them out"
    )


def _needed_nm(exposed: TargetField, reached: TargetField) -> float:
    """Return the distance that the exposures of one target need to another; 0 if it is kept."""
    dx_nm, dy_nm = abs(exposed.x_nm - reached.x_nm), abs(exposed.y_nm - reached.y_nm)
    before_x_nm = exposed.exposed_x_nm + reached.object_nm
    before_y_nm = exposed.exposed_y_nm + reached.object_nm
    after_nm = exposed.exposed_nm + reached.object_nm
    if (dx_nm < before_x_nm and dy_nm < before_y_nm) or math.hypot(dx_nm, dy_nm) < after_nm:
        return max(after_nm, before_x_nm)
    return 0.0


def target_field(
    target: Target,
    scan: ScanSettings,
    shower: Shower,
    series_a: SeriesSettings,
    series_b: SeriesSettings,
    tilt_axis_deg: float,
) -> TargetField:
    """Return the extent of a target's frames, tracking shots and shower on the grid.

    The settings are those of the target's own session. At a tilt the field reaches farther across
    the tilt axis, by 1 / cos. The corners of a scan that is turned against the axis reach farther.
    """
    frame_nm = scan.width_px * scan.pixel_nm, scan.height_px * scan.pixel_nm
    width_nm, height_nm = _extent_nm(*frame_nm, tilt_axis_deg)
    exposed_b_nm = max(_extent_nm(max(frame_nm), max(frame_nm), tilt_axis_deg))
    tilted = [(width_nm, series_a.reach_deg)]
    if shower.enabled:
        shower_nm, _ = _extent_nm(shower.field_nm, shower.field_nm, tilt_axis_deg)
        tilted.append((shower_nm, (min(shower.tilts_deg), max(shower.tilts_deg))))
        height_nm = max(height_nm, shower_nm)
    object_nm = max(scan.width_px, scan.height_px) * scan.pixel_nm / 2
    return TargetField(
        name=target.name,
        x_nm=target.x_nm,
        y_nm=target.y_nm,
        exposed_x_nm=max(_half_on_grid_nm(field_nm, tilts) for field_nm, tilts in tilted),
        exposed_y_nm=height_nm / 2,
        exposed_nm=_half_on_grid_nm(exposed_b_nm, series_b.reach_deg),
        object_nm=object_nm,
    )


def _extent_nm(width_nm: float, height_nm: float, tilt_axis_deg: float) -> tuple[float, float]:
    """Return the extent of a field across and along the tilt axis."""
    cos = abs(math.cos(math.radians(tilt_axis_deg)))
    sin = abs(math.sin(math.radians(tilt_axis_deg)))
    return width_nm * cos + height_nm * sin, width_nm * sin + height_nm * cos


def _half_on_grid_nm(field_nm: float, tilts_deg: tuple[float, float]) -> float:
    """Return half of a field's extent across the tilt axis on the grid, at the highest tilt."""
    steepest_deg = min(max(map(abs, tilts_deg)), STEEPEST_FIELD_DEG)
    return field_nm / 2 / math.cos(math.radians(steepest_deg))
