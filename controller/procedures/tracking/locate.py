"""Locate the object in an image: a compact assembly is one bright patch on a dim film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

COARSE_PX = 48
"""Size to which the image is binned: shot noise averages out and particles merge."""
THRESHOLD_FRACTION = 0.35
"""Threshold between the film (0) and the brightest part (1); brighter pixels are the object."""
MIN_AREA_FRACTION = 0.003
"""Smallest area of an assembly, as a fraction of the image."""
LARGEST_GAP = 0.08
"""Widest gap within an assembly, as a fraction of the frame's width: between the lattice planes of
a small crystal. An assembly is several particles wide, and fits in the frame."""
LEAST_SHARE = 0.1
"""Smallest area of an assembly, as a fraction of the largest patch; smaller ones are single columns
of particles or debris."""
SMOOTH_PX = 1.0
"""Standard deviation of the Gaussian that smooths the binned image, its pixels."""
ORDERS = 32
"""Random orders of an image's pixels that show what contrast its noise alone has."""
FAR_ABOVE_CHANCE = 8.0
"""Smallest contrast of an object above that of such orders, in their standard deviations."""
MIN_SIGNAL_TO_NOISE = 6.0
"""Smallest signal of an object above the film, in units of the film's noise."""


@dataclass(frozen=True)
class ObjectLocation:
    """An object in an image.

    Attributes
    ----------
    offset_px
        (y, x) from the image centre to the object's centre.
    size_px
        Diameter of a disc of the same area.
    """

    offset_px: tuple[float, float]
    size_px: float

    @property
    def distance_px(self) -> float:
        """Distance of the object's centre from the image centre."""
        return float(np.hypot(*self.offset_px))


def locate_object(image: NDArray[Any], field: float = 1) -> ObjectLocation | None:
    """Find the bright patch nearest to the centre of an image [y, x]; None if there is none.

    Parameters
    ----------
    field
        Width of the image, in frames of the series.
    """
    step = max(1, min(image.shape) // COARSE_PX)
    blocks = np.nan_to_num(binned(image, step))
    coarse, film, top = _smoothed(blocks)
    scatter = 1.4826 * np.median(np.abs(coarse[coarse <= np.median(coarse)] - film))
    if top - film <= MIN_SIGNAL_TO_NOISE * max(scatter, 1e-6 * abs(film)) and top < 1.5 * film:
        return None
    if _is_noise(blocks):
        return None
    bright = coarse > film + THRESHOLD_FRACTION * (top - film)
    patches, n = ndimage.label(_without_gaps(bright, LARGEST_GAP * min(coarse.shape) / field))
    areas = ndimage.sum_labels(np.ones_like(coarse), patches, np.arange(1, n + 1))
    smallest = max(MIN_AREA_FRACTION * coarse.size, LEAST_SHARE * areas.max(initial=0))
    large = [i + 1 for i, area in enumerate(areas) if area >= smallest]
    if not large:
        return None
    found = np.array(ndimage.center_of_mass(patches > 0, patches, large))
    offsets = (found + 0.5) * step - np.array(image.shape) / 2
    nearest = int(np.argmin(np.hypot(*offsets.T)))
    area = float(areas[large[nearest] - 1]) * step**2
    y, x = offsets[nearest]
    return ObjectLocation((float(y), float(x)), 2.0 * float(np.sqrt(area / np.pi)))


def _smoothed(blocks: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
    """Smooth a binned image [y, x]; return it with the level of the film and the brightest part."""
    coarse = ndimage.gaussian_filter(blocks, SMOOTH_PX)
    film, top = np.percentile(coarse, [5, 98])
    return coarse, float(film), float(top)


def _is_noise(blocks: NDArray[Any]) -> bool:
    """Tell whether the blocks of a binned image [y, x], in random order, show as much contrast.

    Without an object any order is as likely, whatever the noise. An object is bright blocks side by
    side: in random order they average out. A small object shows in the brightest place alone.
    """
    rng = np.random.default_rng(0)
    by_chance = np.array([_contrasts(rng.permuted(blocks)) for _ in range(ORDERS)])
    limits = by_chance.mean(axis=0) + FAR_ABOVE_CHANCE * by_chance.std(axis=0)
    return bool(np.all(_contrasts(blocks) <= limits))


def _contrasts(blocks: NDArray[Any]) -> tuple[float, float]:
    """Return how far the brightest part and the brightest place are above the film."""
    coarse, film, top = _smoothed(blocks)
    return top - film, float(coarse.max()) - film


def _without_gaps(bright: NDArray[np.bool_], width_px: float) -> NDArray[np.bool_]:
    """Close the gaps of a mask [y, x] that are narrower than a width."""
    margin = int(width_px) + 1
    wide = np.pad(bright, margin)
    near = ndimage.distance_transform_edt(~wide) < width_px / 2
    closed = ndimage.distance_transform_edt(near) >= width_px / 2
    return np.asarray(closed[margin:-margin, margin:-margin])


def binned(image: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Average blocks of `step` x `step` pixels; incomplete blocks at the far edges are left out."""
    rows, columns = (n // step for n in image.shape)
    blocks = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))
