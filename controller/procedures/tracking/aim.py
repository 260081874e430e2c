"""Stage positions that bring something into the middle of the image; pure.

x and y move the specimen in its own plane, which tilts with the holder: of a move across the tilt
axis the image shows cos alpha. (SerialEM's stage calibration is scaled with the tilt the same way.)
"""

from __future__ import annotations

import math

from controller.model.stage import StagePosition

STEEPEST_DEG = 85.0
"""Beyond it a shift of the image says nothing about a place on the grid."""


def foreshortening(alpha_deg: float) -> float:
    """Of a move across the tilt axis: what the image shows of it."""
    return math.cos(math.radians(min(abs(alpha_deg), STEEPEST_DEG)))


def aimed_at(
    stage: StagePosition, offset_px: tuple[float, float], pixel_nm: float
) -> StagePosition:
    """Where the stage has to be for what is seen at an offset (y, x) to be in the middle."""
    y_px, x_px = offset_px
    across_nm = x_px * pixel_nm / foreshortening(stage.alpha_deg)
    return stage.model_copy(
        update={"x_nm": stage.x_nm - across_nm, "y_nm": stage.y_nm - y_px * pixel_nm}
    )


def apart_nm(one: StagePosition, other: StagePosition, alpha_deg: float) -> float:
    """How far two positions are apart in an image at a tilt."""
    across_nm = (one.x_nm - other.x_nm) * foreshortening(alpha_deg)
    return math.hypot(across_nm, one.y_nm - other.y_nm)
