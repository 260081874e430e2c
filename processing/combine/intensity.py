"""Match B's intensities to A's, at the depth where both volumes are equally well resolved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.scratch import overlapping_slabs
from processing.series import Float32

MIDDLE = (1 / 3, 2 / 3)
"""Range of the cumulative mass over depth that is the specimen's middle."""
SPECIMEN_LEVEL = 0.2
"""Smallest value of a specimen voxel, as a fraction of the volume's maximum."""
FEWEST_VOXELS = 10


@dataclass(frozen=True)
class IntensityMatch:
    """Linear map gain * B + offset that gives B the mean and standard deviation of A.

    Attributes
    ----------
    solid
        Value of B from which the full offset is added; below it the offset falls to 0.
    """

    gain: float = 1.0
    offset: float = 0.0
    solid: float = 1.0

    def __call__(self, volume_b: Float32) -> Float32:
        """Return B, or a part of it, on A's scale."""
        # only the specimen gets the offset: the empty space around it stays empty
        weight = np.clip(volume_b / np.float32(self.solid), 0, 1)
        matched = np.float32(self.gain) * volume_b + np.float32(self.offset) * weight
        return np.asarray(matched, np.float32)


def match_intensity(volume_a: Float32, volume_b: Float32) -> IntensityMatch:
    """Compare the mean and standard deviation of A and B [z, y, x] in the middle of the specimen.

    A regression of A on B is not used, because noise in B would make the gain too small.
    """
    mass = np.cumsum([np.maximum(plane, 0).sum(dtype=np.float64) for plane in volume_a])
    if mass[-1] <= 0:
        return IntensityMatch()
    first, last = np.searchsorted(mass / mass[-1], MIDDLE)
    a, b = volume_a[first : last + 1], volume_b[first : last + 1]
    bright_a, bright_b = SPECIMEN_LEVEL * a.max(), SPECIMEN_LEVEL * b.max()
    moments = np.zeros(5)
    for _, window in overlapping_slabs(len(a), halo=0):
        inside = (a[window] > bright_a) | (b[window] > bright_b)
        here_a, here_b = (part[window][inside].astype(np.float64) for part in (a, b))
        sums = [here_a.sum(), here_b.sum(), here_a @ here_a, here_b @ here_b]
        moments += [len(here_a), *sums]
    voxels = moments[0]
    if voxels < FEWEST_VOXELS:
        return IntensityMatch()
    mean_a, mean_b, square_a, square_b = moments[1:] / voxels
    spread_a, spread_b = np.sqrt(np.maximum([square_a - mean_a**2, square_b - mean_b**2], 0))
    if spread_b == 0:
        return IntensityMatch()
    gain = spread_a / spread_b
    return IntensityMatch(float(gain), float(mean_a - gain * mean_b), float(bright_b))
