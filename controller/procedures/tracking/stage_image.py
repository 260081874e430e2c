"""Conversion between stage positions and distances in the image; pure.

x and y move the specimen in its own plane, which tilts with the holder. In the image, a move across
the tilt axis is shortened by cos alpha. (SerialEM scales its stage calibration the same way.)
"""

from __future__ import annotations

import math

from controller.model.scan import along_stage
from controller.model.stage import StagePosition

MAX_TILT_DEG = 85.0
"""Steepest tilt for which an image shift is converted to a position on the grid."""


def cos_tilt(alpha_deg: float) -> float:
    """Return cos alpha, the shortening across the tilt axis; constant beyond `MAX_TILT_DEG`."""
    return math.cos(math.radians(min(abs(alpha_deg), MAX_TILT_DEG)))


def centring_position(
    stage: StagePosition, offset_px: tuple[float, float], pixel_nm: float, tilt_axis_deg: float
) -> StagePosition:
    """Return the stage position that centres what the image shows at an offset (y, x).

    Parameters
    ----------
    tilt_axis_deg
        Direction of the tilt axis in the image, from +y towards -x.
    """
    y_px, x_px = offset_px
    across_nm, along_nm = along_stage((x_px * pixel_nm, y_px * pixel_nm), tilt_axis_deg)
    across_nm /= cos_tilt(stage.alpha_deg)
    return stage.model_copy(update={"x_nm": stage.x_nm - across_nm, "y_nm": stage.y_nm - along_nm})


def image_distance_nm(one: StagePosition, other: StagePosition, alpha_deg: float) -> float:
    """Return the distance between two stage positions in an image at this tilt."""
    across_nm = (one.x_nm - other.x_nm) * cos_tilt(alpha_deg)
    return math.hypot(across_nm, one.y_nm - other.y_nm)
