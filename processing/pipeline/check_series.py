"""Check that a tilt series can be processed at all, before anything that takes long."""

from __future__ import annotations

import numpy as np

from processing.errors import InputFileError
from processing.series import TiltSeries

FEWEST_IMAGES = 3
SMALLEST_SIDE_PX = 16
"""Smallest side of an image: a particle of 7 pixels with its surroundings."""
SMALLEST_RANGE_DEG = 0.05
"""Smallest range of the angles; below it they are all the same."""


def require_tilt_series(series: TiltSeries) -> None:
    """Check the number of images, their size and that they are tilted.

    Raises
    ------
    InputFileError
        There are fewer than three images, they are under 16 pixels high or wide, or all have the
        same tilt angle.
    """
    where = series.inputs.file if series.inputs else f"series {series.name}"
    rows, columns = series.images.shape[1:]
    if series.tilts < FEWEST_IMAGES:
        images = "one image" if series.tilts == 1 else f"{series.tilts} images"
        raise InputFileError(f"{where}: holds {images}; give a tilt series of at least three")
    if min(rows, columns) < SMALLEST_SIDE_PX:
        raise InputFileError(
            f"{where}: images of {columns} x {rows} pixels cannot show particles; give images of "
            f"at least {SMALLEST_SIDE_PX} x {SMALLEST_SIDE_PX}"
        )
    if np.ptp(series.angles_deg) < SMALLEST_RANGE_DEG:
        raise InputFileError(
            f"{where}: all {series.tilts} tilt angles are {series.angles_deg[0]:.2f} degrees; "
            "give the true ones"
        )
