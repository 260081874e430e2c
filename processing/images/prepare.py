"""Prepare a raw tilt series for processing: repair what is wrong in its images, and name it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from processing.images.contrast import is_inverted
from processing.images.isolate import isolate_object
from processing.images.repair_pixels import Repairs, repair_pixels
from processing.series import TiltSeries

IMAGES_FOR_CONTRAST = 15
"""Number of images that show the sign of the contrast; more give the same."""


def prepare_series(series: TiltSeries) -> TiltSeries:
    """Repair the images of a raw series; a sound series keeps its images unchanged.

    Notes say what was repaired. Doubts say what makes a count of the series uncertain.
    """
    images, repairs = repair_pixels(series.images)
    repaired = with_repairs_noted(replace(series, images=images), repairs)
    return isolate_object(upright_contrast(repaired)).series


def with_repairs_noted(series: TiltSeries, repairs: Repairs) -> TiltSeries:
    """Note how many pixels of the series were repaired."""
    if not repairs.text():
        return series
    note = f"series {series.name}: repaired {repairs.text()}"
    return replace(series, notes=(*series.notes, note))


def upright_contrast(series: TiltSeries) -> TiltSeries:
    """Invert the images if the particles are darker than the background; add note and doubt."""
    some = np.flatnonzero(~series.excluded)[:: max(1, series.tilts // IMAGES_FOR_CONTRAST)]
    images = series.images[some].astype(np.float32)
    images = images[np.isfinite(images).all(axis=(1, 2))]
    if not len(images) or not is_inverted(images):
        return series
    note = (
        f"series {series.name}: particles are darker than the background (bright field, or "
        "inverted contrast); the images were inverted"
    )
    doubt = (
        f"series {series.name}: inverted contrast; the signal of a bright field is not "
        "proportional to the thickness. Record HAADF images"
    )
    return replace(
        series,
        images=np.subtract(0, series.images, dtype=np.float32),
        notes=(*series.notes, note),
        doubts=(*series.doubts, doubt),
    )
