"""Sixel data of a grey picture, made with numpy.

A sixel is a column of six pixels of one grey. A band of six rows is sent grey by grey; runs of
equal sixels are sent as a number and one character (VT330/VT340 Programmer Reference, chapter 14).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

BAND_ROWS = 6
START = "\x1bP0;1;0q"
END = "\x1b\\"
FIRST_CHARACTER = 63
"""Character of a sixel without pixels."""
SHORT_RUN = 3
"""Longest run that is sent sixel by sixel."""
WORD = 8
"""Room for the characters of one run or one change of line; a number can move it at once."""

Levels = NDArray[np.uint8]
Words = NDArray[np.uint64]


def sixel_text(levels: Levels, shades: int) -> str:
    """Return the sixel data of a picture [row, column] of levels from 0 to `shades` - 1."""
    rows, cols = levels.shape
    greys = "".join(
        f"#{level};2;{percent};{percent};{percent}"
        for level in range(shades)
        for percent in [round(100 * level / (shades - 1))]
    )
    # an enlarged picture has equal columns: each is encoded once
    differs = (levels[:, 1:] != levels[:, :-1]).any(axis=0)
    column = np.flatnonzero(np.append(True, differs))
    lines, bands, level = _lines(levels[:, column], shades)
    text = _text(lines, bands, level, np.append(column, cols))
    return f'{START}"1;1;{cols};{rows}{greys}{text}{END}'


def _lines(levels: Levels, shades: int) -> tuple[Levels, NDArray[np.intp], NDArray[np.intp]]:
    """Return the sixels [line, column] of each level in each band, with band and level."""
    rows, cols = levels.shape
    bands = -(-rows // BAND_ROWS)
    sixels = np.zeros(bands * shades * cols, np.uint8)
    for row in range(BAND_ROWS):  # a row meets each sixel once at most
        own = levels[row::BAND_ROWS]
        line = np.arange(len(own))[:, None] * shades + own
        sixels[line * cols + np.arange(cols)] |= 1 << row
    lines = sixels.reshape(bands * shades, cols)
    used = np.flatnonzero(lines.any(axis=1))
    return lines[used], used // shades, used % shades


def _text(
    lines: Levels, bands: NDArray[np.intp], level: NDArray[np.intp], edges: NDArray[np.intp]
) -> str:
    """Return the lines as text: the way to the line, its grey, its runs.

    Each is a word of `WORD` characters, filled with zeros, which are taken out at the end. `edges`
    are the left edges of the columns, and the right edge of the last.
    """
    columns, cols = lines.shape[1], int(edges[-1])
    begins = np.ones(lines.shape, bool)
    begins[:, 1:] = lines[:, 1:] != lines[:, :-1]
    start = np.flatnonzero(begins)
    number = np.cumsum(begins.sum(axis=1))  # of runs up to the end of each line
    place = start // columns * cols + edges[start % columns]
    length = np.diff(np.append(place, len(lines) * cols))
    sixel = lines.ravel()[start]
    runs = _runs(cols)[length, sixel]
    runs[number[sixel[number - 1] == 0] - 1] = 0  # nothing follows at the right end of a line
    heads = _heads(int(level.max()))[(np.diff(bands, prepend=0) > 0).astype(int), level]
    words = np.insert(runs, number - np.diff(number, prepend=0), heads)
    return words.tobytes().translate(None, b"\0").decode("ascii")


@cache
def _heads(highest: int) -> Words:
    """Return the words [next band, level] that go to the left edge and choose a grey."""
    return _words([[f"{edge}#{level}" for level in range(highest + 1)] for edge in "$-"])


@cache
def _runs(longest: int) -> Words:
    """Return the words [length, sixel] of all runs."""
    characters = [chr(FIRST_CHARACTER + sixel) for sixel in range(1 << BAND_ROWS)]
    return _words(
        [
            [one * length if length <= SHORT_RUN else f"!{length}{one}" for one in characters]
            for length in range(longest + 1)
        ]
    )


def _words(texts: list[list[str]]) -> Words:
    return np.array(texts, f"S{WORD}").view(np.uint64)
