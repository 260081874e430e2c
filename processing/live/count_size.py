"""Size of the images in which a growing series is counted."""

from __future__ import annotations

COLUMNS = 160
"""Image width for counting (px): wider images are reduced to it."""

LARGEST_COLUMNS = 416
"""Largest width of frames that are kept as they were recorded (px)."""


def reduction(columns: int) -> float:
    """Return the factor by which images of this width are reduced for counting."""
    return max(1.0, columns / COLUMNS)


def binning_on_reading(columns: int) -> int:
    """Return the bin of frames of this width when they are read: twice as fine as they are counted.

    All frames of a series stay in memory, and reducing large ones for each count would take longer
    than the count.
    """
    return max(1, columns // (2 * COLUMNS)) if columns > LARGEST_COLUMNS else 1
