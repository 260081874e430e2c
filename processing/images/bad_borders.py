"""Find the parts of an image's border that were not recorded, or not recorded properly."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from processing.images.bad_pixels import LINE_SHARE, PIXELS_FOR_MEDIAN
from processing.images.noise import Noise
from processing.series import Bools, Float32

BORDER_SHARE, NARROWEST_BORDER_PX = 0.04, 2
"""Largest width of a wrong border: as a fraction of the side, and at least."""
STEP_RANGES, STEP_SIGMAS = 3.0, 1.0
"""Smallest step of a wrong border: in ranges of the lines beside it plus noise of one pixel."""
SMALLEST_PADDING, LARGEST_PADDING = 0.005, 0.5
"""Smallest and largest area of padding, as fractions of the image."""
PADDING_SIGMAS = 4.0
"""Smallest step from padding to the image, in standard deviations of the noise."""
BORDER_HELD = 0.05
"""Smallest fraction of the border's pixels that padding holds; a dead line has its ends there."""
ELSEWHERE_SHARE = 0.01
"""Largest fraction of the remaining pixels that have exactly the padding's value."""


def find_padding(image: Float32, noise: Noise) -> Bools:
    """Flag [y, x] the constant frame that shifting, rotating or masking left around an image."""
    nothing = np.zeros(image.shape, bool)
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    values, numbers = np.unique(border, return_counts=True)
    value = values[numbers.argmax()]
    if numbers.max() < BORDER_HELD * len(border):
        return nothing
    patches, _ = ndimage.label(image == value)
    edges = np.concatenate([patches[0], patches[-1], patches[:, 0], patches[:, -1]])
    padding = np.isin(patches, np.unique(edges[edges > 0]))
    if not SMALLEST_PADDING <= padding.mean() <= LARGEST_PADDING:
        return nothing
    if (image[~padding] == value).mean() > ELSEWHERE_SHARE:
        return nothing
    grown = ndimage.binary_dilation(padding)  # interpolation mixed the next pixel with the padding
    ring = ndimage.binary_dilation(grown) & ~grown
    if not ring.any() or abs(np.median(image[ring]) - value) <= PADDING_SIGMAS * noise.sigma:
        return nothing
    return np.asarray(grown, bool)


def find_bad_columns_at_edge(image: Float32, noise: Noise) -> int:
    """Return the number of columns at the left edge that the beam's flyback made bright or dark.

    A wrong column differs from those further inside over its whole length. An object or a
    gradient that reaches the edge does not.
    """
    image = image[:: max(1, len(image) // PIXELS_FOR_MEDIAN)]
    width = max(NARROWEST_BORDER_PX, round(BORDER_SHARE * image.shape[1]))
    inside = image[:, width : 3 * width]
    if inside.shape[1] < 2 * width:
        return 0
    medians, level = np.median(inside, axis=0), np.median(inside, axis=1, keepdims=True)
    limit = STEP_RANGES * np.ptp(medians) + STEP_SIGMAS * noise.sigma
    step = np.median(image[:, :width], axis=0) - np.median(medians)
    beyond = (np.sign(step) * (image[:, :width] - level) > 0).mean(axis=0)
    wrong = np.flatnonzero((np.abs(step) > limit) & (beyond >= LINE_SHARE))
    return int(wrong[-1]) + 1 if wrong.size else 0
