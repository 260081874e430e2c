"""A series that grows: 31 tilts of a specimen, with shifts and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processing.series import TiltSeries
from tests.support.spheres import Float64, Recording, tilt_series

ANGLES_DEG = np.arange(-60.0, 61.0, 4.0)
SHIFTS_PX = np.random.default_rng(5).uniform(-3, 3, (len(ANGLES_DEG), 2))


def recorded(centres: Float64, size: int) -> TiltSeries:
    """Return images of `size` x `size` pixels of spheres of 7 pixels."""
    taken = Recording(SHIFTS_PX, np.zeros(len(ANGLES_DEG)), counts=500.0)
    return tilt_series(centres, ANGLES_DEG, 7.0, size, taken)


def first(series: TiltSeries, tilts: int) -> TiltSeries:
    return replace(
        series,
        images=series.images[:tilts],
        angles_deg=series.angles_deg[:tilts],
        excluded=series.excluded[:tilts],
    )
