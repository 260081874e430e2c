"""Find blocks of an image that are missing, and those that the pixels around can not replace."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from processing.images.noise import Noise
from processing.series import Bools, Float32

DEEPEST_FILLED_PX = 4.0
"""Largest distance of a missing pixel from a good one. Further inside, a particle may be hidden."""
SMALLEST_BLOCK_PX = 9
"""Smallest side of a constant block that does not reach from border to border."""
NARROWEST_BAND_PX = 3
"""Smallest width of a constant band from border to border; `find_lines` finds narrower ones."""
STEP_SIGMAS = 4.0
"""Smallest step between a constant block and the image, in standard deviations of the noise."""
STEP_PERCENTILE = 90
"""Percentile of the steps along its edge: much of a band may lie over a background of its value."""
ELSEWHERE_SHARE = 0.01
"""Largest fraction of the other pixels that have exactly the block's value."""
SIGNAL_PERCENTILE = 99
OBJECT_SHARE = 0.1
"""Smallest signal that is taken for the object, as a fraction of the largest."""


def find_constant_blocks(image: Float32, noise: Noise) -> Bools:
    """Flag [y, x] rectangles of the smallest or largest value inside a finite image.

    The detector or the file gave them one value: they were not recorded. A frame around the image
    is none of them (`bad_borders`).
    """
    found = np.zeros(image.shape, bool)
    for value in (image.min(), image.max()):
        same = image == value
        if same.sum() >= SMALLEST_BLOCK_PX**2:
            found |= _rectangles(image, same, noise)
    return found


def hides_object(missing: Bools, filled: Float32, noise: Noise) -> bool:
    """Return true if a missing part inside an image [y, x] may hide particles of the object.

    Parameters
    ----------
    missing
        Pixels that were not recorded.
    filled
        The image with these pixels filled from those around.
    noise
        That of the filled image.
    """
    if not missing.any():
        return False
    deep = ndimage.distance_transform_edt(missing) > DEEPEST_FILLED_PX
    deep &= _between_good(missing)
    if not deep.any():
        return False
    signal = float(np.percentile(filled, SIGNAL_PERCENTILE)) - noise.background
    least = max(STEP_SIGMAS * noise.sigma, OBJECT_SHARE * signal)
    return bool((filled[deep] - noise.background > least).any())


def _rectangles(image: Float32, same: Bools, noise: Noise) -> Bools:
    """Flag the rectangles among the pixels of one value that differ from the pixels beside."""
    rows, columns = image.shape
    blocks = ndimage.binary_opening(same, np.ones((SMALLEST_BLOCK_PX, SMALLEST_BLOCK_PX), bool))
    bands = np.all(same, axis=1, keepdims=True) | np.all(same, axis=0)
    found = np.zeros(same.shape, bool)
    patches = np.asarray(ndimage.label(blocks | bands)[0], np.intp)
    for number, place in enumerate(ndimage.find_objects(patches), start=1):
        block = np.asarray(patches[place] == number, bool)
        whole = block.all() and min(block.shape) >= NARROWEST_BAND_PX
        at_one_border = (place[0].start == 0) != (place[0].stop == rows) or (
            (place[1].start == 0) != (place[1].stop == columns)
        )
        if whole and not at_one_border:
            found[place] = True
    edge = ndimage.binary_dilation(found) & ~found
    if not edge.any() or same[~found].mean() > ELSEWHERE_SHARE:
        return np.zeros_like(found)
    step = np.percentile(np.abs(image[edge] - image[found][0]), STEP_PERCENTILE)
    return found if step > STEP_SIGMAS * noise.sigma else np.zeros_like(found)


def _between_good(missing: Bools) -> Bools:
    """Flag missing pixels [y, x] that have good ones on both sides, in their row or column."""
    good = ~missing
    sides = []
    for axis in (0, 1):
        before = np.logical_or.accumulate(good, axis=axis)
        after = np.flip(np.logical_or.accumulate(np.flip(good, axis), axis=axis), axis)
        sides.append(before & after)
    return np.asarray(missing & (sides[0] | sides[1]), bool)
