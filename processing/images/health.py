"""Find images of a tilt series that are unusable, before alignment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from processing.images.intensity import background_levels
from processing.images.smooth import smooth_images
from processing.series import Float32, TiltSeries

NON_FINITE_SHARE = 0.01
"""Largest fraction of non-finite pixels in a usable image."""
SATURATED_SHARE = 0.5
"""Largest fraction of saturated pixels among those above half the signal. An image with
fewer saturated pixels is worth more than a missing image."""
DIM_SHARE, BRIGHT_SHARE = 0.2, 4.0
"""Smallest and largest signal relative to the neighbouring images. Beyond these limits, beam
current or exposure differed."""
BLURRED_SHARE = 0.35
"""Smallest detail relative to the neighbouring images."""
NEIGHBOURS = 7
"""Images in a row over which the median is the reference for each image."""
SIGNAL_PERCENTILE = 99.5
FINE_PX, COARSE_PX = 1.5, 4.0
"""Standard deviations of the two filters between which detail lies; single pixels are noise."""


@dataclass(frozen=True)
class ImageQuality:
    """Signal and detail of one image, for comparison with its neighbours."""

    signal: float
    """Intensity of the object above the background, in the image's units."""
    detail: float
    """Contrast on the scale of a few pixels, divided by the signal."""


def image_quality(image: Float32) -> ImageQuality:
    """Measure signal and detail of an image [y, x]."""
    flat = image[None] - np.float32(background_levels(image[None])[0])
    fine = smooth_images(flat, FINE_PX)
    signal = float(_signal(fine)[0])
    return ImageQuality(signal, float(_detail(fine, flat)[0]) / max(signal, 1e-30))


def bad_images(series: TiltSeries) -> dict[int, str]:
    """Map the index of each bad image to its fault, in two to four words.

    Faults: not finite, blank, saturated, identical to the previous image, much dimmer or brighter
    than the neighbouring images, or with much less detail than these.
    """
    found: dict[int, str] = {}
    images = series.images
    finite = np.isfinite(images).mean(axis=(1, 2))
    _note(found, finite < 1 - NON_FINITE_SHARE, "not finite")
    clean = np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0)
    _note(found, np.ptp(clean, axis=(1, 2)) == 0, "blank")
    flat = clean - background_levels(clean).astype(np.float32)[:, None, None]
    fine = smooth_images(flat, FINE_PX)
    signal = _signal(fine)
    _note(found, _saturated_share(clean, flat, signal) > SATURATED_SHARE, "saturated")
    same = [False] + [np.array_equal(a, b) for a, b in pairwise(clean)]
    _note(found, same, "copy of the previous image")
    _note(found, signal < DIM_SHARE * _neighbour_median(signal), "dim")
    _note(found, signal > BRIGHT_SHARE * _neighbour_median(signal), "bright")
    detail = _detail(fine, flat) / np.maximum(signal, 1e-30)
    _note(found, detail < BLURRED_SHARE * _neighbour_median(detail), "blurred")
    return found


def _note(found: dict[int, str], bad: Iterable[bool] | np.ndarray, reason: str) -> None:
    for index in np.flatnonzero(np.asarray(bad, bool)):
        found.setdefault(int(index), reason)


def _saturated_share(images: Float32, flat: Float32, signal: np.ndarray) -> np.ndarray:
    """Pixels at the series' maximum, over pixels above half the signal of their image.

    The signal is a percentile: half the maximum would leave one pixel where one is stuck.
    """
    clipped = (images >= images.max()).sum(axis=(1, 2))
    bright = (flat > 0.5 * signal[:, None, None]).sum(axis=(1, 2))
    return np.asarray(clipped / np.maximum(bright, 1))


def _signal(smooth: Float32) -> np.ndarray:
    """Intensity of the object above the background; even a small object has the top pixels."""
    return np.asarray(np.maximum(np.percentile(smooth, SIGNAL_PERCENTILE, axis=(1, 2)), 0))


def _detail(fine: Float32, flat: Float32) -> np.ndarray:
    """Standard deviation on the scale of a few pixels, without the noise of single pixels."""
    return np.asarray((fine - smooth_images(flat, COARSE_PX)).std(axis=(1, 2), dtype=np.float64))


def _neighbour_median(values: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.median_filter(values, NEIGHBOURS, mode="nearest"))
