"""Conversion between SerialEM's units and axes and ours.

SerialEM uses micrometres, degrees, nanoamperes, kilovolts and seconds. Its stage, like the
column's own, has x along the holder, which is the tilt axis; our tilt axis is y. With z common to
both: x_ours = -y_theirs and y_ours = x_theirs.
"""

from __future__ import annotations

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.model.stage import StagePosition

NM_PER_UM = 1e3
PA_PER_NA = 1e3


def to_stage_um(target: StagePosition, settings: ColumnSettings) -> tuple[float, float, float]:
    """Convert our position to SerialEM's (x, y, z), in micrometres."""
    return (
        target.y_nm / NM_PER_UM,
        -target.x_nm / NM_PER_UM,
        settings.z_sense * target.z_nm / NM_PER_UM,
    )


def to_tilt_deg(target: StagePosition, settings: ColumnSettings) -> float:
    """Convert our tilt angle to SerialEM's."""
    return settings.tilt_sense * target.alpha_deg


def from_stage(
    position_um: tuple[float, float, float], tilt_deg: float, settings: ColumnSettings
) -> StagePosition:
    """Convert SerialEM's (x, y, z) and tilt angle to our position."""
    x_um, y_um, z_um = position_um
    return StagePosition(
        alpha_deg=settings.tilt_sense * tilt_deg,
        x_nm=-y_um * NM_PER_UM,
        y_nm=x_um * NM_PER_UM,
        z_nm=settings.z_sense * z_um * NM_PER_UM,
    )


def from_screen_current(current_nA: float) -> float:
    """Convert a screen current to pA; negative readings (noise) become 0."""
    return max(0.0, current_nA * PA_PER_NA)


def to_exposure_s(dwell_us: float, pixels: int) -> float:
    """Convert a dwell time to SerialEM's exposure time of a whole frame, without flyback."""
    return dwell_us * 1e-6 * pixels
