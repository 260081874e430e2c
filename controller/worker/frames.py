"""The frames of a growing series, as its files give them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from controller.model.base import SeriesName
from processing.errors import ProcessingError
from processing.files.rawtlt import read_rawtlt

ANGLE_WAIT_S = 2.0
"""A frame is announced a moment before its angle is in the rawtlt."""
SAME_TILT_DEG = 0.25
"""A tilt that was recorded again comes back to within this."""


def superseded(alpha_deg: float, earlier_deg: Mapping[int, float]) -> list[int]:
    """Sections among the earlier ones that a frame at this angle takes the place of."""
    return [index for index, a in earlier_deg.items() if abs(a - alpha_deg) < SAME_TILT_DEG]


def angle_deg(folder: Path, series: SeriesName, index: int) -> float:
    """Angle of a section.

    Raises
    ------
    ProcessingError
        It does not come.
    """
    path = folder / f"{series}.rawtlt"
    until = time.monotonic() + ANGLE_WAIT_S
    while time.monotonic() < until:
        if path.exists() and len(angles := read_rawtlt(path)) > index:
            return float(angles[index])
        time.sleep(0.01)
    raise ProcessingError(f"{path}: no angle for image {index}")
