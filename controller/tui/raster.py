"""A grey image as quadrant block characters: four samples a cell, two shades, visible in tmux.

Each cell's four samples are split at the middle of their range; what is above takes the
foreground shade, the rest the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

GLYPHS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By bits: top left 1, top right 2, bottom left 4, bottom right 8."""
SHADES = 32
"""Few enough for the styles to be cached, more than the eye tells apart in a block."""
CELL_ASPECT = 2.0
"""Height of a terminal cell over its width."""

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """A size in cells."""

    rows: int
    cols: int


def fit(shape: tuple[int, int], room: Box) -> Box:
    """The largest box of the image's own aspect that fits into `room`."""
    height, width = shape
    cols_per_row = CELL_ASPECT * width / height
    rows = min(room.rows, int(room.cols / cols_per_row))
    return Box(max(1, rows), max(1, min(room.cols, round(rows * cols_per_row))))


def crop_one_to_one(image: Image, room: Box) -> Image:
    """The middle of an image, one pixel to half a cell's height and a whole one's width."""
    height, width = (min(have, want) for have, want in zip(image.shape, _pixels(room), strict=True))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _pixels(room: Box) -> tuple[int, int]:
    return max(1, 2 * room.rows), max(1, room.cols)


def raster(image: Image, box: Box) -> list[Strip]:
    """Draw an image, row 0 at the bottom, into a box: one strip a row of cells.

    Parameters
    ----------
    image
        [y, x]; grey values are stretched to the full range.
    box
        Size in cells; two samples a cell in each direction.
    """
    samples = _box_samples(image[::-1], 2 * box.rows, 2 * box.cols)
    low, high = np.percentile(samples, (0.5, 99.7))
    scaled = np.clip((samples - low) / max(float(high - low), 1.0), 0.0, 1.0)
    cells = scaled.reshape(box.rows, 2, box.cols, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    glyphs, above, below = _two_shades(cells)
    shape = box.rows, box.cols
    rows = zip(glyphs.reshape(shape), above.reshape(shape), below.reshape(shape), strict=True)
    return [
        Strip(
            [
                _segment(int(glyph), int(fore), int(back))
                for glyph, fore, back in zip(*row, strict=True)
            ],
            box.cols,
        )
        for row in rows
    ]


def _two_shades(
    cells: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Glyph and the two shades of each cell [n, 4]."""
    middle = (cells.min(axis=1) + cells.max(axis=1)) / 2
    bright = cells > middle[:, None]
    n_bright = bright.sum(axis=1)
    total, bright_total = cells.sum(axis=1), (cells * bright).sum(axis=1)
    above = bright_total / np.maximum(n_bright, 1)
    below = (total - bright_total) / (4 - n_bright)
    to_shade = SHADES - 1
    fore = np.rint(above * to_shade).astype(np.intp)
    back = np.rint(below * to_shade).astype(np.intp)
    glyphs = (bright * np.array([1, 2, 4, 8])).sum(axis=1)
    glyphs[fore == back] = 0
    return glyphs, np.where(glyphs == 0, back, fore), back


def _box_samples(image: Image, height: int, width: int) -> NDArray[np.float64]:
    """Means of the image over the boxes of a height x width grid, fractions included."""
    rows = _box_means(image.astype(np.float64), height)
    return _box_means(rows.T, width).T


def _box_means(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Means over `n` equal stretches of axis 0, by way of the running sum."""
    size = values.shape[0]
    running = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    edges = np.linspace(0, size, n + 1)
    whole = np.minimum(edges.astype(np.intp), size - 1)
    part = (edges - whole)[:, None]
    at_edges = running[whole] * (1 - part) + running[whole + 1] * part
    return np.asarray(np.diff(at_edges, axis=0) * (n / size))


@lru_cache(maxsize=SHADES * SHADES * len(GLYPHS))
def _segment(glyph: int, fore: int, back: int) -> Segment:
    return Segment(GLYPHS[glyph], _style(fore, back))


@lru_cache(maxsize=SHADES * SHADES)
def _style(fore: int, back: int) -> Style:
    return Style(color=_grey(fore), bgcolor=_grey(back))


def _grey(shade: int) -> str:
    level = round(255 * shade / (SHADES - 1))
    return f"rgb({level},{level},{level})"
