"""Simulated tilt series in the form that processing reads."""

from __future__ import annotations

import numpy as np

from processing.series import TiltSeries
from simulator.series import Series


def as_read(raw: Series, pixel_nm: float, name: str = "") -> TiltSeries:
    """Return a raw series as read from a file: counts, reported angles, pixel size."""
    return TiltSeries(raw.counts.astype(np.float32), raw.reported_deg, pixel_nm, name=name)
