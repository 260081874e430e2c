"""Turn images so that the tilt axis is along y, before they are compared or reconstructed live."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.series import Float64

SMALLEST_TURN_DEG = 0.05
"""Smaller angles are left as they are."""


def turned_upright(image: NDArray[Any], tilt_axis_deg: float) -> NDArray[Any]:
    """Turn an image about its centre so that the tilt axis is along y.

    Quarter turns move the pixels. Other angles interpolate them; corners that the image does not
    show get the value of its border.

    Parameters
    ----------
    image
        Image [y, x].
    tilt_axis_deg
        In-plane angle of the tilt axis, from +y towards -x.
    """
    turns = quarter_turns(tilt_axis_deg)
    turned = np.ascontiguousarray(np.rot90(image, turns))
    rest_deg = tilt_axis_deg - 90 * turns
    if abs(rest_deg) < SMALLEST_TURN_DEG:
        return turned
    whole = turned.astype(np.float32)
    matrix = rotation_yx(rest_deg)
    centre = (np.array(whole.shape) - 1) / 2
    border = np.r_[whole[0], whole[-1], whole[:, 0], whole[:, -1]]
    return np.asarray(
        ndimage.affine_transform(
            whole, matrix, centre - matrix @ centre, order=1, cval=float(np.median(border))
        )
    )


def upright_shape(shape: tuple[int, int], tilt_axis_deg: float) -> tuple[int, int]:
    """Return the shape [y, x] of an image after `turned_upright`."""
    return shape if quarter_turns(tilt_axis_deg) % 2 == 0 else (shape[1], shape[0])


def quarter_turns(tilt_axis_deg: float) -> int:
    """Return the number of quarter turns that bring the tilt axis to within 45 degrees of y."""
    return round(tilt_axis_deg / 90)


def rotation_yx(angle_deg: float) -> Float64:
    """Return the matrix [2, 2] that turns positions (y, x) from +y towards -x."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[cos, sin], [-sin, cos]])
