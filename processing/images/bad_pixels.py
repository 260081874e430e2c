"""Find pixels and lines that no specimen can have made.

A probe blurs every particle over several pixels, so nothing real is one pixel wide. A pixel far
above all its neighbours is a fault of the detector or of the scan. The deviation is measured
against the noise and against the differences among the neighbours themselves. A particle of three
pixels, an atom and the noise of few counts therefore stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.noise import Noise
from processing.series import Bools, Float32, Float64

SPIKE_SIGMAS = 8.0
"""Smallest deviation of a spike, in standard deviations of the noise."""
SHARPNESS = 1.5
"""Smallest deviation from the neighbours, relative to the range of the pixels around. A sphere of 3
pixels has at most 0.6."""
TEXTURE = 6.0
"""Smallest deviation, relative to the mean detail around, be it particles or noise."""
LEAST_SIGNAL = 0.02
"""Smallest deviation of a spike, as a fraction of the object's signal."""
TEXTURE_PX, RANGE_PX = 9, 5
"""Sides of the squares in which that detail and that range are measured."""
WRONG_NEIGHBOURS = 2
"""Number of the eight neighbours that may be wrong as well."""
CANDIDATE_SIGMAS = 3.0
"""Smallest deviation from the smoothed image for which neighbours are compared one by one."""
FEWEST_FOR_STUCK = 5
"""Fewest images that show which pixels are wrong in all of them."""
STUCK_SHARE = 0.85
"""Smallest fraction of the images in which a stuck pixel is beyond its neighbours."""
IMAGES_FOR_CANDIDATES = 15
"""Images from which the candidates for stuck pixels are taken; more give the same ones."""
LINE_SHARE = 0.8
"""Smallest fraction of a line's pixels that deviate to the same side."""
DARK_LINE_SIGMAS = 3.0
"""Smallest depth of a dark line below the darkest others, in standard deviations of one pixel."""
DARKEST_PERCENTILE = 5.0
"""Percentile of the lines' medians that is the darkest real one; fewer lines may be dead."""
OFFSETS = (-3, -2, -1, 1, 2, 3)
NEIGHBOURS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))

Places = tuple[NDArray[np.intp], ...]


def find_spikes(image: Float32, noise: Noise) -> Bools:
    """Flag [y, x] the pixels of one finite image that are far above or below their neighbours.

    A dark pixel is a spike only below the background: gaps between particles are dark and narrow.
    """
    detail = image - ndimage.gaussian_filter(image, 1.0)
    texture = ndimage.uniform_filter(np.abs(detail), TEXTURE_PX)
    spikes = np.zeros(image.shape, bool)
    signal = abs(float(np.percentile(image[::2, ::2], 99)) - noise.background)
    floor = np.full(image.shape, signal)  # at the border a particle may show its edge alone
    floor[1:-1, 1:-1] *= LEAST_SIGNAL
    for sign in (1, -1):
        at = np.nonzero(sign * detail > np.maximum(CANDIDATE_SIGMAS * noise.sigma, 3 * texture))
        excess, spread, level = _beyond_neighbours(sign * image, at)
        wrong = excess > np.maximum(noise.limit(sign * level, SPIKE_SIGMAS), floor[at])
        wrong &= excess > np.maximum(SHARPNESS * spread, TEXTURE * texture[at])
        if sign < 0:
            wrong &= image[at] < noise.background - SPIKE_SIGMAS * noise.sigma
        spikes[at] = wrong
    return spikes


def find_stuck_pixels(images: Float32, usable: NDArray[np.intp]) -> Bools:
    """Flag [y, x] the pixels that are beyond their neighbours in nearly all images [tilt, y, x].

    Particles move with the tilt. One on the tilt axis does not, but is less sharp than a pixel.

    Parameters
    ----------
    usable
        Indices of the images to use, which are finite.
    """
    stuck = np.zeros(images.shape[1:], bool)
    if len(usable) < FEWEST_FOR_STUCK:
        return stuck
    some = images[usable[:: max(1, len(usable) // IMAGES_FOR_CANDIDATES)]]
    usual = np.median(some - ndimage.gaussian_filter(some, (0, 1, 1)), axis=0)
    for sign in (1, -1):
        spread = 1.4826 * np.median(np.abs(usual))
        at = np.nonzero(sign * usual > CANDIDATE_SIGMAS * spread)
        if not len(at[0]):
            continue
        parts = [_beyond_neighbours(sign * images[tilt], at)[:2] for tilt in usable]
        excess, ranges = (np.stack(part) for part in zip(*parts, strict=True))
        always = (excess > 0).mean(axis=0) >= STUCK_SHARE
        sharp = np.median(excess, axis=0) > SHARPNESS * np.median(ranges, axis=0)
        stuck[at] |= always & sharp
    return stuck


def find_lines(image: Float32, noise: Noise) -> Bools:
    """Flag [x] the columns of one finite image that differ as a whole from those beside them."""
    columns = image.shape[1]
    lines = np.zeros(columns, bool)
    if columns < 8:
        return lines
    medians = np.median(image, axis=0)
    beside = np.stack([medians[3 + k : columns - 3 + k] for k in OFFSETS])
    for sign in (1, -1):
        # one of the lines beside may be wrong as well
        least, *_, largest, _ = np.sort(sign * beside, axis=0)
        deviation = sign * medians[3:-3] - largest
        if sign > 0:
            wrong = deviation > np.maximum(noise.sigma, SHARPNESS * (largest - least))
        else:  # however much the lines beside differ, none is below the darkest ones
            darkest = np.percentile(medians, DARKEST_PERCENTILE)
            wrong = medians[3:-3] < darkest - DARK_LINE_SIGMAS * noise.sigma
        for at in np.flatnonzero(wrong) + 3:
            near = np.sort(sign * image[:, [at + k for k in OFFSETS]], axis=1)[:, -2]
            lines[at] |= (sign * image[:, at] > near).mean() >= LINE_SHARE
    return lines


def _beyond_neighbours(image: Float32, at: Places) -> tuple[Float64, Float64, Float64]:
    """Compare pixels with their eight neighbours, leaving out the `WRONG_NEIGHBOURS` largest.

    Returns the excess over the largest neighbour left, the distance from that one to the darkest
    pixel within `RANGE_PX`, and that largest neighbour.
    """
    rows, columns = at
    if not len(rows):
        return np.zeros(0), np.zeros(0), np.zeros(0)
    padded = np.pad(image, 1, mode="reflect")
    around = np.stack([padded[rows + 1 + y, columns + 1 + x] for y, x in NEIGHBOURS])
    around.sort(axis=0)
    largest = around[-1 - WRONG_NEIGHBOURS]
    darkest = ndimage.minimum_filter(image, RANGE_PX)[at]
    excess = np.asarray(image[at] - largest, np.float64)
    return excess, np.asarray(largest - darkest, np.float64), np.asarray(largest, np.float64)
