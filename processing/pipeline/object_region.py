"""Region of the images that holds the object at every tilt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.image_size import Crop
from processing.images.binning import block_mean
from processing.images.intensity import background_levels
from processing.parallel import map_in_threads
from processing.series import TiltSeries

Box = tuple[int, int, int, int]
"""First row, end row, first column, end column."""

THUMBNAIL_PX = 128
"""Largest side of the small images in which the object is found."""
OBJECT_LEVEL = 0.12
"""Smallest smoothed signal of an object, as a fraction of the brightest."""
NOISE_LEVEL = 5.0
"""The same, in standard deviations of the smoothed background."""
SMOOTHING_PX = 1.5
"""Standard deviation of the smoothing, in pixels of the small images."""
LEAST_MASS = 0.05
"""Smallest mass of a further object in the region, as a fraction of the heaviest one's.

Single particles beside an assembly have less. Particles that lie apart have about the same mass
each, and all of them belong to the region.
"""
LARGEST_AREA = 2.0
"""Largest area of the objects in an image, relative to the median image; more is a bad image."""
MARGIN = 0.1
"""Background around the objects, as a fraction of the region's side, on each side."""


def object_region(series: TiltSeries) -> Crop:
    """Return the part of the images that holds all objects at all tilts, with a margin.

    It is the whole field if nothing stands out from the background. Images marked as excluded are
    ignored.
    """
    rows, columns = series.images.shape[1:]
    factor = max(1, -(-max(rows, columns) // THUMBNAIL_PX))
    used = np.flatnonzero(~series.excluded)
    in_each = map_in_threads(lambda tilt: _objects(series.images[tilt], factor), used)
    found = [objects for objects in in_each if objects is not None]
    if not found:
        return 0, 0, columns, rows
    areas = np.array([area for _, area in found])
    usual = areas <= LARGEST_AREA * np.median(areas)
    boxes = np.array([box for box, _ in found])[usual]
    (top, left), (bottom, right) = boxes[:, [0, 2]].min(axis=0), boxes[:, [1, 3]].max(axis=0)
    y, height = _with_margin(factor * int(top), factor * int(bottom), rows)
    x, width = _with_margin(factor * int(left), factor * int(right), columns)
    return x, y, width, height


def _objects(image: NDArray[np.generic], factor: int) -> tuple[Box, int] | None:
    """Return the box around all heavy objects of an image and their area, in small pixels."""
    small = np.nan_to_num(block_mean(image, factor), nan=0.0, posinf=0.0, neginf=0.0)
    small = ndimage.median_filter(small, 3)  # hot pixels are no objects
    flat = small - np.float32(background_levels(small[None])[0])
    smooth = ndimage.gaussian_filter(flat, SMOOTHING_PX)
    darker = smooth[smooth < 0]
    noise = float(np.sqrt(np.mean(darker**2))) if darker.size else 0.0
    objects, count = ndimage.label(smooth > max(OBJECT_LEVEL * smooth.max(), NOISE_LEVEL * noise))
    if count == 0:
        return None
    masses = ndimage.sum_labels(smooth, objects, np.arange(1, count + 1))
    heavy = np.isin(objects, 1 + np.flatnonzero(masses >= LEAST_MASS * masses.max()))
    rows, columns = (np.flatnonzero(heavy.any(axis=axis)) for axis in (1, 0))
    box = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return box, int(heavy.sum())


def _with_margin(start: int, end: int, side: int) -> tuple[int, int]:
    """Return first pixel and length of a range with its margin, within the image."""
    margin = round(MARGIN * (end - start))
    first, last = max(0, start - margin), min(side, end + margin)
    return first, last - first
