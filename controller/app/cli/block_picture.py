"""A grey image as characters that need neither colours nor a wide terminal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCKS, ASCII = " ░▒▓█", " .:+#"
COLUMNS = 56
LARGEST_ROWS = 40
CELL_ASPECT = 2.0
"""Height over width of a terminal cell."""
DITHER = (np.array([[0, 2], [3, 1]]) - 1.5) / 4
"""Thresholds of 2 x 2 cells, which show greys between the shades."""
IGNORED_PERCENT = 0.5
"""Fraction of the pixels at either end that do not set the grey scale."""


def shades_for(encoding: str | None) -> str:
    """Return block characters where the output can show them, else ASCII."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


def block_picture(image: NDArray[np.float32], shades: str = BLOCKS) -> list[str]:
    """Return the rows of characters, the highest y first.

    Parameters
    ----------
    shades
        Characters from dark to bright.
    """
    height, width = image.shape
    columns = min(COLUMNS, width)
    rows = max(1, min(LARGEST_ROWS, round(columns * height / width / CELL_ASPECT)))
    finite = np.nan_to_num(image, nan=float(np.nanmin(image)) if np.isfinite(image).any() else 0)
    cells = _means(_means(finite, rows, 0), columns, 1)[::-1]
    low, high = np.percentile(cells, [IGNORED_PERCENT, 100 - IGNORED_PERCENT])
    grey = (cells - low) / max(high - low, 1e-30) * (len(shades) - 1)
    dither = np.tile(DITHER, (rows // 2 + 1, columns // 2 + 1))[:rows, :columns]
    levels = np.clip(np.rint(grey + dither), 0, len(shades) - 1).astype(int)
    return ["".join(shades[level] for level in row).rstrip() for row in levels]


def _means(values: NDArray[np.float32], cells: int, axis: int) -> NDArray[np.float32]:
    """Return the means of `cells` neighbouring groups along an axis."""
    edges = np.linspace(0, values.shape[axis], cells, endpoint=False).astype(int)
    edges = np.unique(edges)
    sums = np.add.reduceat(values, edges, axis=axis, dtype=np.float64)
    counts = np.diff([*edges, values.shape[axis]])
    shape = (-1, 1) if axis == 0 else (1, -1)
    repeated = sums / counts.reshape(shape)
    return np.asarray(
        np.take(repeated, np.linspace(0, len(edges) - 1, cells).round().astype(int), axis=axis)
    )
