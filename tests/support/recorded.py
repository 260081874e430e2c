"""A simulated recording, as processing gets it."""

from __future__ import annotations

import numpy as np

from processing.series import TiltSeries
from simulator.series import Series


def as_read(raw: Series, pixel_nm: float, name: str = "") -> TiltSeries:
    """A raw series as it is read from a file: counts, reported angles, pixel size."""
    return TiltSeries(raw.counts.astype(np.float32), raw.reported_deg, pixel_nm, name=name)
