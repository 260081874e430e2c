"""The one place where TEM Scripting's units and axes become ours.

TEM Scripting speaks metres, radians, amperes, volts and seconds. Its stage has x along the
holder, the tilt axis, and y across it; ours has y along the tilt axis. With z common to both and
both right-handed, x_ours = -y_theirs and y_ours = x_theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.model.stage import StageLimits, StagePosition

M_PER_NM = 1e-9
AXES = ("x", "y", "z", "a")
"""The axes we use, by TEM Scripting's names; b is left alone."""

AxisData = Callable[[str], tuple[float, float, str]]


def to_stage(target: StagePosition, settings: ColumnSettings) -> dict[str, float]:
    """Turn our position into TEM Scripting's, metres and radians by axis."""
    return {
        "x": target.y_nm * M_PER_NM,
        "y": -target.x_nm * M_PER_NM,
        "z": settings.z_sense * target.z_nm * M_PER_NM,
        "a": settings.tilt_sense * math.radians(target.alpha_deg),
    }


def from_stage(position: Mapping[str, float], settings: ColumnSettings) -> StagePosition:
    """Turn TEM Scripting's position, metres and radians by axis, into ours."""
    return StagePosition(
        alpha_deg=settings.tilt_sense * math.degrees(position["a"]),
        x_nm=-position["y"] / M_PER_NM,
        y_nm=position["x"] / M_PER_NM,
        z_nm=settings.z_sense * position["z"] / M_PER_NM,
    )


def from_axis_data(axis_data: AxisData, settings: ColumnSettings) -> StageLimits:
    """Turn each axis' (lowest, highest, unit) into our limits; the nearer side counts."""
    low, high, _ = axis_data("a")
    tilts = sorted(settings.tilt_sense * math.degrees(angle) for angle in (low, high))
    reach_nm = {axis: _reach_m(axis_data, axis) / M_PER_NM for axis in ("x", "y", "z")}
    return StageLimits(
        alpha_min_deg=tilts[0],
        alpha_max_deg=tilts[1],
        xy_max_nm=min(reach_nm["x"], reach_nm["y"]),
        z_max_nm=reach_nm["z"],
    )


def _reach_m(axis_data: AxisData, axis: str) -> float:
    low, high, _ = axis_data(axis)
    return min(-low, high)


def from_screen_current(amperes: float) -> float:
    """Turn a screen current into pA; noise about zero is no current."""
    return max(0.0, amperes * 1e12)


def from_high_tension(volts: float) -> float:
    """Turn the high tension into kV."""
    return volts * 1e-3


def from_convergence(radians: float) -> float:
    """Turn the convergence angle into mrad."""
    return radians * 1e3


def to_defocus(defocus_nm: float) -> float:
    """Turn a defocus into metres."""
    return defocus_nm * M_PER_NM


def from_defocus(defocus_m: float) -> float:
    """Turn TEM Scripting's defocus into nm."""
    return defocus_m / M_PER_NM


def to_dwell(dwell_us: float) -> float:
    """Turn a dwell time into seconds."""
    return dwell_us * 1e-6


def from_dwell(dwell_s: float) -> float:
    """Turn TEM Scripting's dwell time into microseconds."""
    return dwell_s * 1e6
