"""Preview pictures: read from the session's folder and reduced to a given size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.common.open_inside import open_inside

Picture = NDArray[np.uint8]
"""Grey image [y, x], row 0 at the bottom."""


def read_preview(folder: Path, path: str, max_side_px: int) -> Picture:
    """Read a preview of a session and reduce it until no side exceeds `max_side_px`.

    Raises
    ------
    ValueError
        If the file holds anything but a 2D uint8 array.
    OSError, LinkRefusedError
        The file cannot be read, or is reached through a link.
    """
    with open_inside(folder, path) as file:
        image: NDArray[Any] = np.load(file, allow_pickle=False)
    if image.ndim != 2 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"{path}: {image.dtype} {image.shape} is not a 2D uint8 picture")
    return reduce_picture(np.ascontiguousarray(image), max_side_px)


def reduce_picture(image: Picture, max_side_px: int) -> Picture:
    """Reduce both sides by the same factor (block means) until none exceeds `max_side_px`."""
    factor = -(-max(image.shape) // max_side_px)
    return image if factor <= 1 else _block_mean(image, factor)


def _block_mean(image: Picture, factor: int) -> Picture:
    height, width = (max(1, side // factor) for side in image.shape)
    rows, cols = min(factor, image.shape[0]), min(factor, image.shape[1])
    blocks = image[: height * rows, : width * cols].reshape(height, rows, width, cols)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3))
    return means.round().astype(np.uint8)
