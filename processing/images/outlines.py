"""Size and roundness of an assembly in an image of low magnification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.bright_patches import smoothed

OUTLINE_LEVEL = 0.3
"""Level of the outline: 0 is the film, 1 the brightest pixel. A sphere is there 95 % as wide as in
its middle."""
SMOOTH_PX = 0.7
PIXEL_VARIANCE = 1 / 12
"""Variance of the positions in one square pixel (px²)."""


@dataclass(frozen=True)
class MeasuredOutline:
    """Outline of the assembly nearest to the image centre.

    Attributes
    ----------
    offset_px
        (y, x) from the image centre to the middle of the outline.
    diameter_px
        Diameter of a disc of the same area.
    roundness
        Shorter axis divided by the longer one, of the ellipse with the same second moments.
    """

    offset_px: tuple[float, float]
    diameter_px: float
    roundness: float


def measure_outline(image: NDArray[Any], *, near_px: float) -> MeasuredOutline | None:
    """Measure the bright patch nearest to the centre of an image [y, x].

    Returns None if there is none within `near_px` of the centre.
    """
    smooth = smoothed(image, SMOOTH_PX)
    middle = (np.array(image.shape) - 1) / 2
    y, x = np.indices(image.shape)
    close = np.hypot(y - middle[0], x - middle[1]) <= near_px
    top = smooth.top(close)
    if top <= smooth.texture:
        return None
    patches = smooth.patches(OUTLINE_LEVEL, top)
    numbers = np.unique(patches[close & (patches > 0)])
    if not len(numbers):
        return None
    centres = np.array(ndimage.center_of_mass(patches > 0, patches, numbers)) - middle
    nearest = int(np.argmin(np.hypot(*centres.T)))
    mask = patches == numbers[nearest]
    points = np.argwhere(mask)
    spread = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((2, 2))
    short, long = np.sqrt(np.linalg.eigvalsh(spread) + PIXEL_VARIANCE)
    return MeasuredOutline(
        offset_px=(float(centres[nearest, 0]), float(centres[nearest, 1])),
        diameter_px=float(2 * np.sqrt(mask.sum() / np.pi)),
        roundness=float(short / long),
    )
