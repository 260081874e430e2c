"""Images that carry no information, or the wrong one: found before anything is aligned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from processing.images.intensity import background_levels
from processing.series import Float32, TiltSeries

NON_FINITE_SHARE = 0.01
SATURATED_SHARE = 0.5
"""Of the bright half of the signal: an image clipped in less tells more than a missing one."""
DIM_SHARE, BRIGHT_SHARE = 0.2, 4.0
"""Of the signal that the images around show: beyond, the beam or the exposure was another."""
BLURRED_SHARE = 0.35
"""Of the detail that the images around show."""
NEIGHBOURS = 7
SIGNAL_PERCENTILE = 99.5


@dataclass(frozen=True)
class Sharpness:
    """What one image shows, to be held against those around it."""

    signal: float
    """Height of the object over the background, in the image's units."""
    detail: float
    """Contrast at a few pixels, over the signal."""


def sharpness(image: Float32) -> Sharpness:
    """Measure an image [y, x]."""
    flat = image[None] - np.float32(background_levels(image[None])[0])
    signal = float(_signal(flat)[0])
    return Sharpness(signal, float(_detail(flat)[0]) / max(signal, 1e-30))


def bad_images(series: TiltSeries) -> dict[int, str]:
    """Index of each bad image -> what is wrong with it, in two or three words.

    Looks for images that are not finite, blank, clipped at the top, copies of the one before, much
    dimmer or brighter than their neighbours, or without their neighbours' detail.
    """
    found: dict[int, str] = {}
    images = series.images
    finite = np.isfinite(images).mean(axis=(1, 2))
    _note(found, finite < 1 - NON_FINITE_SHARE, "not finite")
    clean = np.nan_to_num(images, nan=0.0, posinf=0.0, neginf=0.0)
    spread = clean.std(axis=(1, 2))
    _note(found, spread == 0, "blank")
    flat = clean - background_levels(clean).astype(np.float32)[:, None, None]
    _note(found, _saturated_share(clean, flat) > SATURATED_SHARE, "saturated")
    same = [False] + [np.array_equal(a, b) for a, b in pairwise(clean)]
    _note(found, same, "copy of the one before")
    signal = _signal(flat)
    _note(found, signal < DIM_SHARE * _usual(signal), "dim")
    _note(found, signal > BRIGHT_SHARE * _usual(signal), "bright")
    detail = _detail(flat) / np.maximum(signal, 1e-30)
    _note(found, detail < BLURRED_SHARE * _usual(detail), "blurred")
    return found


def _note(found: dict[int, str], bad: Iterable[bool] | np.ndarray, reason: str) -> None:
    for index in np.flatnonzero(np.asarray(bad, bool)):
        found.setdefault(int(index), reason)


def _saturated_share(images: Float32, flat: Float32) -> np.ndarray:
    """Pixels at the series' own top value over those above half their image's height."""
    clipped = (images >= images.max()).sum(axis=(1, 2))
    bright = (flat > 0.5 * flat.max(axis=(1, 2), keepdims=True)).sum(axis=(1, 2))
    return np.asarray(clipped / np.maximum(bright, 1))


def _signal(images: Float32) -> np.ndarray:
    """Height of the object over the background: even a small one fills the brightest pixels."""
    smooth = ndimage.gaussian_filter(images, (0, 1.5, 1.5))
    return np.asarray(np.maximum(np.percentile(smooth, SIGNAL_PERCENTILE, axis=(1, 2)), 0))


def _detail(images: Float32) -> np.ndarray:
    """Strength of the contrast at a few pixels, above that of the noise at one."""
    fine, coarse = (ndimage.gaussian_filter(images, (0, s, s)) for s in (1.5, 4.0))
    return np.asarray((fine - coarse).std(axis=(1, 2), dtype=np.float64))


def _usual(values: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.median_filter(values, NEIGHBOURS, mode="nearest"))
