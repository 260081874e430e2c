"""Conversion between TEM Scripting's units and axes and ours.

TEM Scripting uses metres, radians, amperes, volts and seconds. Its stage has x along the holder,
which is the tilt axis, and y across it; our tilt axis is y. With z common to both and both
right-handed: x_ours = -y_theirs and y_ours = x_theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.model.stage import StageLimits, StagePosition

M_PER_NM = 1e-9

AxisData = Callable[[str], tuple[float, float, str]]


def to_stage(target: StagePosition, settings: ColumnSettings) -> dict[str, float]:
    """Convert our position to TEM Scripting's: metres and radians by axis."""
    return {
        "x": target.y_nm * M_PER_NM,
        "y": -target.x_nm * M_PER_NM,
        "z": settings.z_sense * target.z_nm * M_PER_NM,
        "a": settings.tilt_sense * math.radians(target.alpha_deg),
    }


def from_stage(position: Mapping[str, float], settings: ColumnSettings) -> StagePosition:
    """Convert TEM Scripting's position (metres and radians by axis) to ours."""
    return StagePosition(
        alpha_deg=settings.tilt_sense * math.degrees(position["a"]),
        x_nm=-position["y"] / M_PER_NM,
        y_nm=position["x"] / M_PER_NM,
        z_nm=settings.z_sense * position["z"] / M_PER_NM,
    )


def from_axis_data(axis_data: AxisData, settings: ColumnSettings) -> StageLimits:
    """Convert the (lowest, highest, unit) of each axis to our limits; the smaller side counts."""
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
    """Convert a screen current to pA; negative readings (noise) become 0."""
    return max(0.0, amperes * 1e12)


def from_high_tension(volts: float) -> float:
    """Convert the high tension to kV."""
    return volts * 1e-3


def from_convergence(radians: float) -> float:
    """Convert the convergence angle to mrad."""
    return radians * 1e3


def to_defocus(defocus_nm: float) -> float:
    """Convert a defocus to metres."""
    return defocus_nm * M_PER_NM


def from_defocus(defocus_m: float) -> float:
    """Convert TEM Scripting's defocus to nm."""
    return defocus_m / M_PER_NM


def to_dwell(dwell_us: float) -> float:
    """Convert a dwell time to seconds."""
    return dwell_us * 1e-6


def from_dwell(dwell_s: float) -> float:
    """Convert TEM Scripting's dwell time to microseconds."""
    return dwell_s * 1e6
