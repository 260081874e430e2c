"""Contrast, histogram, power spectrum and scale bar of a picture, for every screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.service.previews import Picture

HISTOGRAM_BINS = 12
_BARS = " ▁▂▃▄▅▆▇█"
LARGEST_BAR_FRACTION = 0.3
"""Longest scale bar, as a fraction of the picture's width."""
SPECTRUM_FLOOR_PERCENT = 5.0
"""Percentage of the spectrum's values that are black."""


@dataclass(frozen=True)
class Contrast:
    """Percentiles of a picture's grey values that are shown black and white."""

    name: str
    black_percent: float
    white_percent: float


CONTRASTS = (
    Contrast("auto", 0.5, 99.7),
    Contrast("full range", 0.0, 100.0),
    Contrast("strong", 5.0, 95.0),
)
"""Contrast limits in the order in which a key chooses them."""


def stretch(picture: NDArray[np.float32] | Picture, contrast: Contrast) -> NDArray[np.float32]:
    """Return the values of a picture, 0 at the black limit and 1 at the white one."""
    low, high = np.percentile(picture, (contrast.black_percent, contrast.white_percent))
    scaled = (picture - np.float32(low)) / max(float(high - low), 1.0)
    return np.asarray(np.clip(scaled, 0.0, 1.0), np.float32)


def middle(picture: Picture, height: int, width: int) -> Picture:
    """Return the middle of a picture, at most `height` x `width` pixels."""
    top, left = max(0, (len(picture) - height) // 2), max(0, (picture.shape[1] - width) // 2)
    return picture[top : top + height, left : left + width]


def histogram_bars(picture: Picture) -> str:
    """Return the histogram of the grey values from 0 to 255 as a row of bars.

    Their heights are square roots of the numbers of pixels, so that a few bright pixels show.
    """
    # of each grey value first: five times as fast as a histogram of all pixels
    pixels = np.bincount(picture.ravel(), minlength=256)
    counts = np.histogram(np.arange(256), HISTOGRAM_BINS, (0, 256), weights=pixels)[0]
    heights = np.sqrt(counts / max(1, counts.max()))
    return "".join(_BARS[round(height * (len(_BARS) - 1))] for height in heights)


def power_spectrum(picture: Picture) -> Picture:
    """Return the logarithm of the power spectrum of a picture [y, x], zero frequency in the middle.

    A window suppresses the streaks from the edges of the field. Drift, vibration and defocus change
    the rings and spots of the spectrum before they are seen in the image.
    """
    values = picture - picture.mean(dtype=np.float32)
    window = np.outer(*(np.hanning(side).astype(np.float32) for side in picture.shape))
    power = np.abs(np.fft.fftshift(np.fft.fft2(values * window))) ** 2
    levels = np.log(power + 1.0)
    low, high = np.percentile(levels, (SPECTRUM_FLOOR_PERCENT, 100.0))
    scaled = (levels - low) * (255.0 / max(float(high - low), 1e-6))
    return np.asarray(np.clip(scaled, 0.0, 255.0), np.uint8)


def scale_bar_nm(width_nm: float) -> float:
    """Return the length of a scale bar for a picture: 1, 2 or 5 times a power of ten (nm)."""
    longest = LARGEST_BAR_FRACTION * width_nm
    power = 10.0 ** np.floor(np.log10(longest))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= longest))
