"""Size and roundness of an assembly in an image of low magnification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OUTLINE_LEVEL = 0.3
"""Level of the outline: 0 is the film, 1 the brightest pixel. A sphere is there 95 % as wide as in
its middle."""
LEAST_CONTRAST = 6.0
"""Smallest brightness of an assembly above the film, in standard deviations of the film."""
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
    smooth = ndimage.gaussian_filter(np.nan_to_num(image.astype(np.float64)), SMOOTH_PX)
    film = float(np.median(smooth))
    middle = (np.array(image.shape) - 1) / 2
    y, x = np.indices(image.shape)
    close = np.hypot(y - middle[0], x - middle[1]) <= near_px
    top = float(smooth[close].max())
    scatter = 1.4826 * float(np.median(np.abs(smooth - film)))
    if top - film <= LEAST_CONTRAST * max(scatter, 1e-6 * abs(film)):
        return None
    patches, _ = ndimage.label(smooth > film + OUTLINE_LEVEL * (top - film))
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
