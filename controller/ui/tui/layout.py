"""Widths on the main screen: image, numbers, log."""

from __future__ import annotations

from textual.geometry import Size

LINES_AROUND_BODY = 4
"""Lines of phases, state, alert and keys."""
SIDE_CELLS = 42
"""Width that the numbers need."""
LOG_CELLS = 60
"""Width that the newest log lines need; only a wide terminal has it."""
MIN_IMAGE_CELLS = 20


def image_cells(screen: Size, *, empty: bool = False) -> int:
    """Return the width of the image with its border; a square image fills the height."""
    if empty:
        return MIN_IMAGE_CELLS
    square = 2 * (screen.height - LINES_AROUND_BODY - 2) + 2
    return max(MIN_IMAGE_CELLS, min(square, screen.width - SIDE_CELLS))


def log_cells(screen: Size) -> int:
    """Return the width of the log beside the numbers; 0 without room for it."""
    left = screen.width - image_cells(screen) - SIDE_CELLS
    return max(LOG_CELLS, left // 2) if left >= LOG_CELLS else 0


def side_cells(screen: Size) -> int:
    """Return the width of numbers and plots."""
    return screen.width - image_cells(screen) - log_cells(screen)
