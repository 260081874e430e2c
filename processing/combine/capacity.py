"""Largest number of particles that a field can hold: more candidates are no particles."""

from __future__ import annotations

import numpy as np

DENSEST_PACKING = 0.74
"""Largest volume fraction of equal spheres."""


def field_capacity(shape: tuple[int, int, int], pixel_nm: float, diameter_nm: float) -> int:
    """Return how many particles the largest object in view can hold.

    An object that is in view at every tilt fits in the ellipsoid that touches the sides of the
    volume [z, y, x].
    """
    ellipsoid_nm3 = np.pi / 6 * float(np.prod(shape)) * pixel_nm**3
    return int(DENSEST_PACKING * ellipsoid_nm3 / (np.pi / 6 * diameter_nm**3))
