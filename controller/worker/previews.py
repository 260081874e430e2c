"""Pictures for the screens: 2D uint8 .npy files under previews/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.events import PreviewReady

CLIPPED_PERCENT = 0.5
"""At either end of the grey scale: a hot pixel must not darken the rest."""


def write_preview(
    folder: Path, view: str, image: NDArray[Any], caption: str = "", floor: float | None = None
) -> PreviewReady:
    """Write an image [row, column], row 0 at the bottom, in one step; return the event to publish.

    `floor` is the value shown black, where it is not the image's own.
    """
    path = folder / "previews" / f"{view}.npy"
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, as_grey(image, floor))
    partial.replace(path)
    return PreviewReady(view=view, path=path.relative_to(folder).as_posix(), caption=caption)


def as_grey(image: NDArray[Any], floor: float | None = None) -> NDArray[np.uint8]:
    """Stretch an image to 0..255 between its clipped extremes."""
    values = np.nan_to_num(np.asarray(image, np.float32))
    low, high = np.percentile(values, [CLIPPED_PERCENT, 100 - CLIPPED_PERCENT])
    low = low if floor is None else floor
    stretched = (values - low) * (255 / max(float(high - low), 1e-12))
    return np.clip(stretched, 0, 255).astype(np.uint8)
