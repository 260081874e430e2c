"""Cubic B-splines that spread points onto a grid."""

from __future__ import annotations

import numpy as np

from processing.series import Float32

TAPS = 4
"""Grid points that a cubic B-spline covers along one axis."""


def cubic_spline_values(after: Float32) -> Float32:
    """Return the spline's values at its four grid points, [..., tap], lowest first.

    Parameters
    ----------
    after
        Distance from the second of these grid points to the spline's centre, 0 to 1; on any device.
    """
    before = 1 - after
    values = np.empty_like(after, np.float32, shape=(*after.shape, TAPS))
    for tap, distance in ((1, after), (2, before)):
        square = distance * distance
        values[..., tap] = 2 / 3 - square + square * distance / 2
    for tap, distance in ((0, before), (3, after)):
        values[..., tap] = distance * distance * distance / 6
    return values
