"""B's grey values on A's scale, from the depth where both see equally well."""

from __future__ import annotations

import numpy as np

from processing.series import Float32

MIDDLE = (1 / 3, 2 / 3)
"""Share of the specimen's mass, by depth, that counts as its middle."""


def match_intensity(volume_a: Float32, volume_b: Float32) -> Float32:
    """gain * B + offset, with A's mean and spread in the mid-depth overlap.

    Means and spreads, not a regression of one on the other: noise in B would flatten its gain.
    """
    mass = np.cumsum(np.maximum(volume_a, 0).sum(axis=(1, 2), dtype=np.float64))
    if mass[-1] <= 0:
        return volume_b
    first, last = np.searchsorted(mass / mass[-1], MIDDLE)
    middle = slice(int(first), int(last) + 1)
    a, b = volume_a[middle], volume_b[middle]
    inside = (a > 0.2 * a.max()) | (b > 0.2 * b.max())
    if inside.sum() < 10 or b[inside].std() == 0:
        return volume_b
    gain = np.float32(a[inside].std() / b[inside].std())
    offset = np.float32(a[inside].mean() - gain * b[inside].mean())
    # the offset belongs to the specimen: the empty space around it stays empty
    weight = np.clip(volume_b / np.float32(0.2 * b.max()), 0, 1)
    return np.asarray(gain * volume_b + offset * weight, np.float32)
