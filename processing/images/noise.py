"""Noise of an image as a function of its signal, measured robustly from the image itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from processing.series import Float32, Float64

BLOCK_PX = 8
"""Side of the blocks in which level and variance are measured."""
STRIPS, STRIP_ROWS = 16, 32
"""Number and height of the strips of a large image in which noise is measured."""
SECOND_DIFFERENCE = np.array([1, -2, 1]) / np.sqrt(6)
"""Kernel along rows and columns that removes planes and keeps the variance of white noise
(Immerkaer 1996)."""
QUANTUM_SIGMAS = 3.0
"""Noise below this many steps of the digitiser is that of few counts, which is not symmetric."""


@dataclass(frozen=True)
class Noise:
    """Variance of the noise: `variance` at the background, growing by `gain` with the signal.

    Attributes
    ----------
    background
        Level of the background, in the image's units.
    variance
        Variance at the background.
    gain
        Growth of the variance with the level; for counted electrons, the counts of one electron.
    """

    background: float
    variance: float
    gain: float

    @property
    def sigma(self) -> float:
        """Standard deviation at the background."""
        return float(np.sqrt(self.variance))

    def limit(self, level: Float64 | Float32 | float, sigmas: float) -> Float64:
        """Return the deviation that noise at `level` exceeds about as rarely as `sigmas`.

        The second term is the skewness of few counts.
        """
        above = np.maximum(np.asarray(level, np.float64) - self.background, 0)
        spread = np.sqrt(self.variance + self.gain * above)
        return np.asarray(sigmas * spread + sigmas**2 / 6 * self.gain, np.float64)


def measure_noise(image: Float32) -> Noise:
    """Measure the noise of a finite image [y, x]; medians over blocks ignore wrong pixels."""
    strips = _strips(len(image))
    variance = np.concatenate([_block_means(_second_difference(image, s) ** 2) for s in strips])
    level = np.concatenate([_block_means(image[strip]) for strip in strips])
    dark = level <= np.median(level)
    background, floor = float(np.median(level[dark])), float(np.median(variance[dark]))
    # the median of block means is low where only every tenth pixel has a count
    bright = level > background + 2 * np.sqrt(floor)
    gain = 0.0
    if bright.any():
        gain = max(float(np.median((variance - floor)[bright] / (level - background)[bright])), 0)
    step = _digitiser_step(image)
    if np.sqrt(floor) < QUANTUM_SIGMAS * step:
        gain = max(gain, step)
    return Noise(background, floor, gain)


def _strips(rows: int) -> list[slice]:
    """Return the rows in which noise is measured: all, or evenly spaced strips of many."""
    if rows <= STRIPS * STRIP_ROWS:
        return [slice(0, rows)]
    starts = np.linspace(0, rows - STRIP_ROWS, STRIPS).astype(int)
    return [slice(int(start), int(start) + STRIP_ROWS) for start in starts]


def _second_difference(image: Float32, strip: slice) -> Float32:
    """Return the second difference of some rows, of which those beside them are a part."""
    first = max(0, strip.start - 1)
    values = image[first : strip.stop + 1]
    for axis in (1, 0):
        values = ndimage.correlate1d(values, SECOND_DIFFERENCE, axis, mode="mirror")
    return values[strip.start - first :][: strip.stop - strip.start]


def _block_means(image: Float32) -> Float64:
    rows, columns = (max(1, n // BLOCK_PX) for n in image.shape)
    side_y, side_x = image.shape[0] // rows, image.shape[1] // columns
    whole = image[: rows * side_y, : columns * side_x]
    return np.asarray(
        whole.reshape(rows, side_y, columns, side_x).mean(axis=(1, 3), dtype=np.float64).ravel()
    )


def _digitiser_step(image: Float32) -> float:
    """Return the usual difference between successive values of the image; 0 if it has one value."""
    values = np.unique(image[::2, ::2])
    return float(np.median(np.diff(values))) if len(values) > 1 else 0.0
