"""Average images over squares of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.series import Float32


def block_mean(image: NDArray[np.generic], factor: int) -> Float32:
    """Average an image [y, x] over squares of `factor` pixels; incomplete squares are dropped.

    Non-finite pixels are left out of the average; a square without finite pixels is not finite.
    """
    rows, columns = (side // factor for side in image.shape)
    values = np.asarray(image[: rows * factor, : columns * factor], np.float32)
    finite = np.isfinite(values)
    if finite.all():
        return _block_sum(values, factor) / np.float32(factor**2)
    count = _block_sum(finite.astype(np.float32), factor)
    total = _block_sum(np.where(finite, values, np.float32(0)), factor)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan))


def _block_sum(values: Float32, factor: int) -> Float32:
    rows = len(values) // factor
    by_rows: Float32 = values.reshape(rows, factor, -1).sum(axis=1)
    total = by_rows[:, ::factor].copy()
    for column in range(1, factor):  # strided sums are faster than a sum over a short last axis
        total += by_rows[:, column::factor]
    return total
