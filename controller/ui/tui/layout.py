"""How the width is shared: the image takes what its aspect can use, the rest what it needs."""

from __future__ import annotations

from textual.geometry import Size

LINES_AROUND_BODY = 4
"""Rail, state, alert, keys."""
SIDE_CELLS = 42
"""Room the numbers need."""
TAIL_CELLS = 60
"""Room the newest log lines need; only a wide terminal has it."""
MIN_IMAGE_CELLS = 20


def image_cells(screen: Size, *, empty: bool = False) -> int:
    """Width of the image with its border: a square one fills the height."""
    if empty:
        return MIN_IMAGE_CELLS
    square = 2 * (screen.height - LINES_AROUND_BODY - 2) + 2
    return max(MIN_IMAGE_CELLS, min(square, screen.width - SIDE_CELLS))


def tail_cells(screen: Size) -> int:
    """Width of the log beside the numbers; 0 where there is no room for it."""
    left = screen.width - image_cells(screen) - SIDE_CELLS
    return max(TAIL_CELLS, left // 2) if left >= TAIL_CELLS else 0


def side_cells(screen: Size) -> int:
    """Width of the numbers and plots."""
    return screen.width - image_cells(screen) - tail_cells(screen)
