"""A series that grows: 31 tilts of a disordered assembly with shifts and noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from processing.series import TiltSeries
from tests.support.spheres import Recording, packed, tilt_series

ANGLES_DEG = np.arange(-60.0, 61.0, 4.0)
SIZE = 80
DISORDERED = packed(26.0, 8.6, order="disordered", seed=3)
SHIFTS_PX = np.random.default_rng(5).uniform(-3, 3, (len(ANGLES_DEG), 2))


@cache
def recorded() -> TiltSeries:
    taken = Recording(SHIFTS_PX, np.zeros(len(ANGLES_DEG)), counts=500.0)
    return tilt_series(DISORDERED, ANGLES_DEG, 7.0, SIZE, taken)


def first(series: TiltSeries, tilts: int) -> TiltSeries:
    return replace(
        series,
        images=series.images[:tilts],
        angles_deg=series.angles_deg[:tilts],
        excluded=series.excluded[:tilts],
    )
