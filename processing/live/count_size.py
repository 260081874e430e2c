"""Size of the images in which a growing series is counted."""

from __future__ import annotations

COLUMNS = 160
"""Width above which images are reduced before they are counted in."""


def reduction(columns: int) -> float:
    """Return the factor by which the pixels of an image this wide are made larger."""
    return max(1.0, columns / COLUMNS)
