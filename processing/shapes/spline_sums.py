"""Sums of values between the points of a cubic grid, by compiled loops over cubic B-splines.

`scipy.ndimage.map_coordinates` gives the same values; it takes several times as long, and keeps
each of them.
"""

from __future__ import annotations

import numpy as np

from processing.compiled import compiled
from processing.series import Float64


def spline_sums(coefficients: Float64, places: Float64) -> Float64:
    """Return the sums [n] of the values at places [n, each, 3].

    Parameters
    ----------
    coefficients
        Spline coefficients [x, y, z] (`scipy.ndimage.spline_filter`).
    places
        In steps of the grid from its first point; beyond its ends the outermost coefficients count.
    """
    found = np.empty(len(places))
    _add_up(found, np.ascontiguousarray(coefficients), np.ascontiguousarray(places))
    return found


@compiled
def _add_up(found: Float64, coefficients: Float64, places: Float64) -> None:
    size_x, size_y, size_z = coefficients.shape
    first = np.empty(3, np.int64)
    weights = np.empty((3, 4))
    for row in range(places.shape[0]):
        total = 0.0
        for each in range(places.shape[1]):
            for axis in range(3):
                place = places[row, each, axis]
                below = np.floor(place)
                after = place - below
                before = 1.0 - after
                first[axis] = int(below) - 1
                weights[axis, 0] = before * before * before / 6
                weights[axis, 1] = (4 - 3 * after * after * (2 - after)) / 6
                weights[axis, 2] = (4 - 3 * before * before * (2 - before)) / 6
                weights[axis, 3] = after * after * after / 6
            for x in range(4):
                at_x = min(max(first[0] + x, 0), size_x - 1)
                along_x = 0.0
                for y in range(4):
                    at_y = min(max(first[1] + y, 0), size_y - 1)
                    along_y = 0.0
                    for z in range(4):
                        at_z = min(max(first[2] + z, 0), size_z - 1)
                        along_y += weights[2, z] * coefficients[at_x, at_y, at_z]
                    along_x += weights[1, y] * along_y
                total += weights[0, x] * along_x
        found[row] = total
