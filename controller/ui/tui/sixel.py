"""Sixel data of a grey picture, made with numpy: ten times as fast as pixel by pixel.

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
RUN = 5
"""Characters before the sixel of a long run: a sign and four digits."""

Levels = NDArray[np.uint8]


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
    row, column = np.arange(rows)[:, None], np.arange(cols)[None]
    place = ((row // BAND_ROWS) * shades + levels) * cols + column
    weights = np.broadcast_to(2.0 ** (row % BAND_ROWS), levels.shape)
    found = np.bincount(place.ravel(), weights.ravel(), bands * shades * cols)
    sixels = found.astype(np.uint8).reshape(bands * shades, cols)
    used = np.flatnonzero(sixels.any(axis=1))
    return sixels[used], used // shades, used % shades


def _text(
    lines: Levels, bands: NDArray[np.intp], level: NDArray[np.intp], edges: NDArray[np.intp]
) -> str:
    """Return the lines as text: grey, runs, and the return to the band's left edge or to the next.

    Each run is a row of characters, 0 where there is none. `edges` are the left edges of the
    columns, and the right edge of the last.
    """
    columns, cols = lines.shape[1], int(edges[-1])
    begins = np.ones(lines.shape, bool)
    begins[:, 1:] = lines[:, 1:] != lines[:, :-1]
    start = np.flatnonzero(begins)
    first = np.searchsorted(start, np.arange(len(lines)) * columns)
    last = np.append(first[1:], len(start)) - 1
    place = start // columns * cols + edges[start % columns]
    length = np.diff(np.append(place, len(lines) * cols))
    sixel = lines.ravel()[start]
    runs = np.zeros((len(start), RUN + SHORT_RUN + 4), np.uint8)
    runs[first, :3] = _numbers("#", 3, int(level.max()))[level]
    runs[:, 3 : 3 + RUN] = _long_runs(cols)[length]
    runs[:, 3 + RUN : -1] = _sixels()[np.minimum(length, SHORT_RUN + 1), sixel]
    runs[last[sixel[last] == 0], 3:] = 0  # nothing follows at the right end of a line
    runs[last, -1] = np.where(np.append(bands[1:] != bands[:-1], True), ord("-"), ord("$"))
    return runs.tobytes().translate(None, b"\0").decode("ascii")


@cache
def _numbers(sign: str, width: int, largest: int) -> Levels:
    """Return the characters [number] of a sign and a number, filled with zeros to the width."""
    texts = "".join(f"{sign}{number}".ljust(width, "\0") for number in range(largest + 1))
    return np.frombuffer(texts.encode("ascii"), np.uint8).reshape(-1, width)


@cache
def _long_runs(longest: int) -> Levels:
    """Return the characters [length] before the sixel of a long run; none for a short one."""
    numbers = _numbers("!", RUN, longest).copy()
    numbers[: SHORT_RUN + 1] = 0
    return numbers


@cache
def _sixels() -> Levels:
    """Return the characters [length, sixel] of a run: one of a long run."""
    characters = np.zeros((SHORT_RUN + 2, 1 << BAND_ROWS, SHORT_RUN), np.uint8)
    for length in range(1, SHORT_RUN + 2):
        number = length if length <= SHORT_RUN else 1
        characters[length, :, :number] = FIRST_CHARACTER + np.arange(1 << BAND_ROWS)[:, None]
    return characters
