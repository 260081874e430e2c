"""A grey image as quadrant block characters: four samples and two shades per cell.

The characters also work in tmux. The four samples of a cell are split at the middle of their
range: brighter ones take the foreground shade, the others the background shade.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from controller.ui.picture_tools import CONTRASTS, Contrast, middle, stretch

GLYPHS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""Characters by bits: top left 1, top right 2, bottom left 4, bottom right 8."""
_CHARACTERS = np.array(list(GLYPHS))
SHADES = 32
"""Number of greys: few enough to cache their styles, more than the eye can tell apart."""
CELL_ASPECT = 2.0
"""Height over width of a terminal cell."""

Image = NDArray[np.uint8]
Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """Size in terminal cells."""

    rows: int
    cols: int


def fit(shape: tuple[int, int], room: Box) -> Box:
    """Return the largest box with the image's aspect ratio that fits into `room`."""
    height, width = shape
    cols_per_row = CELL_ASPECT * width / height
    rows = max(1, min(room.rows, int(room.cols / cols_per_row)))
    return Box(rows, max(1, min(room.cols, round(rows * cols_per_row))))


def crop_one_to_one(image: Image, room: Box) -> Image:
    """Return the middle of an image: one pixel per column, two per row of cells."""
    return middle(image, max(1, 2 * room.rows), max(1, room.cols))


def raster(image: Image, box: Box, contrast: Contrast = CONTRASTS[0]) -> list[Strip]:
    """Draw an image, row 0 at the bottom, into a box; return one strip per row of cells.

    Parameters
    ----------
    image
        Grey image [y, x].
    box
        Size in cells, with two samples per cell in each direction.
    contrast
        Limits between which the grey values are stretched to the full range.
    """
    samples = _box_samples(image[::-1], 2 * box.rows, 2 * box.cols)
    scaled = stretch(samples, contrast)
    cells = scaled.reshape(box.rows, 2, box.cols, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    glyphs, above, below = _two_shades(cells)
    styles = above * SHADES + below
    shape = box.rows, box.cols
    rows = zip(_CHARACTERS[glyphs].reshape(shape), styles.reshape(shape), strict=True)
    return [Strip(_runs("".join(characters), row), box.cols) for characters, row in rows]


def _runs(characters: str, styles: NDArray[np.intp]) -> list[Segment]:
    """Return one segment per run of cells with the same shades: fewer segments draw faster."""
    starts = [0, *(np.flatnonzero(np.diff(styles)) + 1).tolist()]
    ends = [*starts[1:], len(characters)]
    return [
        Segment(characters[start:end], _style(number))
        for start, end, number in zip(starts, ends, styles[starts].tolist(), strict=True)
    ]


def _two_shades(
    cells: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return glyph, foreground and background shade of each cell, from samples [n, 4]."""
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


def _box_samples(image: Image, height: int, width: int) -> NDArray[np.float32]:
    """Return the image averaged over a height x width grid, with fractions of pixels."""
    return np.asarray(_means_of_rows(_means_of_rows(image, height).T, width).T, np.float32)


def _means_of_rows(image: Image | Float64, n: int) -> Float64:
    """Return the means [n, x] of `n` equal intervals of an image's rows, with fractions of rows.

    Sums up to each edge, not a product of matrices: the threads of a linear algebra library wait
    busily for one another, on a busy machine for longer than the whole refresh takes.
    """
    rows = len(image)
    sums = np.zeros((rows + 1, image.shape[1]))
    np.cumsum(image, axis=0, dtype=np.float64, out=sums[1:])
    edges = np.linspace(0, rows, n + 1)
    whole = np.minimum(edges.astype(np.intp), rows - 1)
    up_to_edge = sums[whole] + (edges - whole)[:, None] * (sums[whole + 1] - sums[whole])
    return np.asarray(np.diff(up_to_edge, axis=0) * (n / rows))


@lru_cache(maxsize=SHADES * SHADES)
def _style(number: int) -> Style:
    """Return the style with number = foreground shade x SHADES + background shade."""
    fore, back = divmod(number, SHADES)
    return Style(color=_grey(fore), bgcolor=_grey(back))


def _grey(shade: int) -> str:
    level = round(255 * shade / (SHADES - 1))
    return f"rgb({level},{level},{level})"
