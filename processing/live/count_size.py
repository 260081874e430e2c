"""Width of the images in which a growing series is counted."""

from __future__ import annotations

COLUMNS = 160
"""Image width for counting (px): wider images are reduced to it."""


def reduction(columns: int) -> float:
    """Return the factor by which images of this width are reduced for counting."""
    return max(1.0, columns / COLUMNS)
