"""Where the object is in an image: a compact assembly is one bright patch on a dim film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BINS = 48
"""The image is looked at this coarsely: shot noise averages out, particles merge."""
LEVEL = 0.35
"""Of the way from the film to the object: what is brighter belongs to the object."""
SMALLEST_SHARE = 0.003
"""Of the image: a smaller patch is no assembly."""
CLEAREST_NOISE = 6.0
"""How far above the film's own scatter an object must stand."""


@dataclass(frozen=True)
class Sighting:
    """An object in an image.

    Attributes
    ----------
    offset_px
        (y, x) of its centre from the image's.
    size_px
        Diameter of the disc with its area.
    """

    offset_px: tuple[float, float]
    size_px: float

    @property
    def distance_px(self) -> float:
        """How far its centre is from the image's."""
        return float(np.hypot(*self.offset_px))


def sight(image: NDArray[Any]) -> Sighting | None:
    """Find the bright patch nearest to the centre of an image [y, x]; None where there is none."""
    step = max(1, min(image.shape) // BINS)
    coarse = ndimage.gaussian_filter(np.nan_to_num(binned(image, step)), 1.0)
    film, top = np.percentile(coarse, [5, 98])
    scatter = 1.4826 * np.median(np.abs(coarse[coarse <= np.median(coarse)] - film))
    if top - film <= CLEAREST_NOISE * max(scatter, 1e-6 * abs(film)) and top < 1.5 * film:
        return None
    patches, n = ndimage.label(coarse > film + LEVEL * (top - film))
    areas = ndimage.sum_labels(np.ones_like(coarse), patches, np.arange(1, n + 1))
    large = [i + 1 for i, area in enumerate(areas) if area >= SMALLEST_SHARE * coarse.size]
    if not large:
        return None
    found = np.array(ndimage.center_of_mass(patches > 0, patches, large))
    offsets = (found + 0.5) * step - np.array(image.shape) / 2
    nearest = int(np.argmin(np.hypot(*offsets.T)))
    area = float(areas[large[nearest] - 1]) * step**2
    y, x = offsets[nearest]
    return Sighting((float(y), float(x)), 2.0 * float(np.sqrt(area / np.pi)))


def binned(image: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Average blocks of `step` x `step` pixels; a rest at the far edges is left out."""
    rows, columns = (n // step for n in image.shape)
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
