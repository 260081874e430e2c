"""Images for the screens: 2D uint8 .npy files under previews/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.events import PreviewReady
from processing.files.atomic import make_folder, replace_file

CLIPPED_PERCENT = 0.5
"""Percentage of pixels clipped at either end, so that a hot pixel does not darken the image."""
PIXELS_FOR_LIMITS = 512
"""Pixels along a side from which that range is taken."""


def write_preview(
    folder: Path,
    view: str,
    image: NDArray[Any],
    caption: str,
    pixel_nm: float,
    limits: tuple[float, float] | None = None,
) -> PreviewReady:
    """Write an image [row, column], row 0 at the bottom, in one step; return its event.

    `pixel_nm` is the width of a pixel. `limits` are the values shown as black and white; by default
    the clipped range of the image.
    """
    path = folder / "previews" / f"{view}.npy"
    make_folder(path.parent)
    with replace_file(path, durable=False) as partial, partial.open("wb") as file:
        np.save(file, as_grey(image, limits))
    inside = path.relative_to(folder).as_posix()
    return PreviewReady(view=view, path=inside, caption=caption, pixel_nm=pixel_nm)


def as_grey(image: NDArray[Any], limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Return the image in grey values 0 to 255, stretched between its limits."""
    values = np.nan_to_num(np.array(image, np.float32), copy=False)
    step = max(1, min(values.shape) // PIXELS_FOR_LIMITS)
    low, high = limits or np.percentile(
        values[::step, ::step], [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT]
    )
    # in place: most of the time of a large image goes into clearing the pages of new arrays
    np.clip(values, low, high, out=values)
    values -= np.float32(low)
    values *= np.float32(255 / max(float(high - low), 1e-12))
    return values.astype(np.uint8)


def brightest(image: NDArray[Any]) -> float:
    """Return the largest magnitude of an image, without its few extreme pixels."""
    return float(np.percentile(np.abs(image), 100 - CLIPPED_PERCENT))
