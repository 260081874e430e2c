"""Find pixels and lines that no specimen can have made.

A probe blurs every particle over several pixels, so nothing real is one pixel wide. A pixel far
above all its neighbours is a fault of the detector or of the scan. The deviation is measured
against the noise and against the differences among the neighbours themselves. A particle of three
pixels, an atom and the noise of few counts therefore stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.noise import Noise
from processing.parallel import each_in_threads, slabs
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
LINE_TEXTURE = 4.0
"""Smallest deviation of a bright line, relative to what `USUAL_LINES_PERCENTILE` of the lines stay
below. Lattice planes of atoms are sharp, too, but all of them are; one has at most 3.3."""
USUAL_LINES_PERCENTILE = 90.0
"""Percentile of the lines' deviations that is a usual one; fewer lines may be wrong."""
DARK_LINE_SIGMAS = 3.0
"""Smallest depth of a dark line below the darkest others, in standard deviations of one pixel."""
DARKEST_PERCENTILE = 5.0
"""Percentile of the lines' medians that is the darkest real one; fewer lines may be dead."""
PIXELS_FOR_MEDIAN = 256
"""Number of pixels from which the median of a line is taken."""
SMOOTHED_PX = 4
"""Reach of the smoothing that shows detail: 4 standard deviations of 1 px."""
ROWS_IN_BAND = 64
"""Rows that are compared at a time; they stay in the processor's cache."""
OFFSETS = (-3, -2, -1, 1, 2, 3)
NEIGHBOURS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))

Places = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Rows and columns of pixels."""


def find_spikes(image: Float32, noise: Noise) -> Bools:
    """Flag [y, x] the pixels of one finite image that are far above or below their neighbours.

    A dark pixel is a spike only below the background: gaps between particles are dark and narrow.
    """
    spikes = np.zeros(image.shape, bool)
    signal = abs(float(np.percentile(image[::2, ::2], 99)) - noise.background)
    least = max(
        float(noise.limit(np.float64(noise.background), SPIKE_SIGMAS)), LEAST_SIGNAL * signal
    )
    for sign in (1, -1):
        at = _possible_spikes(image, sign, least)
        if sign < 0:
            at = _some(at, image[at] < noise.background - SPIKE_SIGMAS * noise.sigma)
        excess, level = _beyond_neighbours(image, at, sign)
        # at the border a particle may show its edge alone
        floor = np.where(_at_border(at, image.shape), signal, LEAST_SIGNAL * signal)
        beyond = excess > np.maximum(noise.limit(sign * level, SPIKE_SIGMAS), floor)
        at, excess, level = _some(at, beyond), excess[beyond], level[beyond]
        sharp = excess > SHARPNESS * (level - _darkest_around(image, at, sign))
        at, excess = _some(at, sharp), excess[sharp]
        detail, texture = _detail_and_texture(image, at)
        wrong = excess > TEXTURE * texture
        wrong &= sign * detail > np.maximum(CANDIDATE_SIGMAS * noise.sigma, 3 * texture)
        spikes[_some(at, wrong)] = True
    return spikes


def find_stuck_pixels(
    read: Callable[[int], Float32], shape: tuple[int, ...], usable: NDArray[np.intp]
) -> Bools:
    """Flag [y, x] the pixels that are beyond their neighbours in nearly all images.

    Particles move with the tilt. One on the tilt axis does not, but is less sharp than a pixel.

    Parameters
    ----------
    read
        Function that returns the image [y, x] of a tilt.
    shape
        Rows and columns of the images.
    usable
        Indices of the images to use, which are finite.
    """
    stuck = np.zeros(shape, bool)
    if len(usable) < FEWEST_FOR_STUCK:
        return stuck
    usual = _usual_detail(read, usable[:: max(1, len(usable) // IMAGES_FOR_CANDIDATES)])
    spread = 1.4826 * np.median(np.abs(usual))
    for sign in (1, -1):
        rows, columns = np.nonzero(sign * usual > CANDIDATE_SIGMAS * spread)
        at = rows, columns
        stuck[_always_beyond(read, usable, at, sign)] = True
    return stuck


def _usual_detail(read: Callable[[int], Float32], tilts: NDArray[np.intp]) -> Float32:
    """Return the median [y, x] over some images of what smoothing removes."""

    def detail(tilt: int) -> Float32:
        image = read(tilt)
        image -= ndimage.gaussian_filter(image, 1.0)
        return image

    details = each_in_threads(detail, tilts)
    # band by band: the median copies all its input
    bands = slabs(len(details[0]), ROWS_IN_BAND)
    medians = each_in_threads(
        lambda band: np.median([each[band] for each in details], axis=0), bands
    )
    return np.concatenate(medians, axis=0)


def _always_beyond(
    read: Callable[[int], Float32], usable: NDArray[np.intp], at: Places, sign: int
) -> Places:
    """Return the pixels that are beyond their neighbours in nearly all images, and sharp."""
    within = np.zeros(len(at[0]), np.intp)
    for tilt in usable:
        if not within.size:
            return at  # most candidates drop out after a few images
        excess, _ = _beyond_neighbours(read(int(tilt)), at, sign)
        within += excess <= 0
        kept = (len(usable) - within) / len(usable) >= STUCK_SHARE
        at, within = _some(at, kept), within[kept]
    excesses, ranges = [], []
    for tilt in usable:
        image = read(int(tilt))
        excess, level = _beyond_neighbours(image, at, sign)
        excesses.append(excess)
        ranges.append(level - _darkest_around(image, at, sign))
    return _some(at, np.median(excesses, axis=0) > SHARPNESS * np.median(ranges, axis=0))


def find_lines(image: Float32, noise: Noise) -> Bools:
    """Flag [x] the columns of one finite image that differ as a whole from those beside them."""
    columns = image.shape[1]
    lines = np.zeros(columns, bool)
    if columns < 8:
        return lines
    # every line's median is known well enough from some of its pixels
    medians = np.median(image[:: max(1, len(image) // PIXELS_FOR_MEDIAN)], axis=0)
    beside = np.stack([medians[3 + k : columns - 3 + k] for k in OFFSETS])
    for sign in (1, -1):
        # one of the lines beside may be wrong as well
        least, *_, largest, _ = np.sort(sign * beside, axis=0)
        deviation = sign * medians[3:-3] - largest
        if sign > 0:
            usual = max(0.0, float(np.percentile(deviation, USUAL_LINES_PERCENTILE)))
            least_wrong = max(float(noise.sigma), LINE_TEXTURE * usual)
            wrong = deviation > np.maximum(least_wrong, SHARPNESS * (largest - least))
        else:  # however much the lines beside differ, none is below the darkest ones
            darkest = np.percentile(medians, DARKEST_PERCENTILE)
            wrong = medians[3:-3] < darkest - DARK_LINE_SIGMAS * noise.sigma
        for at in np.flatnonzero(wrong) + 3:
            near = np.sort(sign * image[:, [at + k for k in OFFSETS]], axis=1)[:, -2]
            lines[at] |= (sign * image[:, at] > near).mean() >= LINE_SHARE
    return lines


def _possible_spikes(image: Float32, sign: int, least: float) -> Places:
    """Return the pixels above (or below) their second lowest direct neighbour by `least`.

    Two of the eight neighbours may be wrong as well; at least two of the four direct ones are not.
    """
    found = []
    for band in slabs(len(image), ROWS_IN_BAND):
        rows = _mirrored(np.arange(band.start - 1, band.stop + 1), len(image))
        part = sign * np.pad(image[rows], ((0, 0), (1, 1)), mode="reflect")
        low, high = part[:-2, 1:-1], part[2:, 1:-1]
        left, right = part[1:-1, :-2], part[1:-1, 2:]
        second = np.minimum(
            np.minimum(np.maximum(low, high), np.maximum(left, right)),
            np.maximum(np.minimum(low, high), np.minimum(left, right)),
        )
        y, x = np.nonzero(part[1:-1, 1:-1] - second > least)
        found.append((y + band.start, x))
    rows, columns = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return rows, columns


def _beyond_neighbours(image: Float32, at: Places, sign: int) -> tuple[Float64, Float64]:
    """Compare pixels with their eight neighbours, leaving out the `WRONG_NEIGHBOURS` largest.

    Returns the excess over the largest neighbour left, and that neighbour, both times `sign`.
    """
    rows, columns = at
    around = np.stack(
        [
            image[_mirrored(rows + y, image.shape[0]), _mirrored(columns + x, image.shape[1])]
            for y, x in NEIGHBOURS
        ]
    )
    around *= sign
    around.sort(axis=0)
    largest = around[-1 - WRONG_NEIGHBOURS]
    return (sign * image[at] - largest).astype(np.float64), largest.astype(np.float64)


def _darkest_around(image: Float32, at: Places, sign: int) -> Float64:
    """Return the smallest value, times `sign`, within `RANGE_PX` of each pixel."""
    return np.asarray((sign * _squares(image, at, RANGE_PX)).min(axis=(1, 2)), np.float64)


def _detail_and_texture(image: Float32, at: Places) -> tuple[Float64, Float64]:
    """Return what smoothing removes from each pixel, and its mean size in the square around."""
    size = TEXTURE_PX + 2 * SMOOTHED_PX
    squares = _squares(image, at, size)
    detail = squares - ndimage.gaussian_filter(squares, (0, 1.0, 1.0))
    inner = detail[:, SMOOTHED_PX:-SMOOTHED_PX, SMOOTHED_PX:-SMOOTHED_PX]
    middle = size // 2
    texture = np.abs(inner).mean(axis=(1, 2), dtype=np.float64)
    return detail[:, middle, middle].astype(np.float64), texture


def _squares(image: Float32, at: Places, size: int) -> Float32:
    """Return the squares around pixels, [pixel, y, x]; the image is continued symmetrically."""
    around = np.arange(size) - size // 2
    rows, columns = (
        _continued(index[:, None] + around, side)
        for index, side in zip(at, image.shape, strict=True)
    )
    squares: Float32 = image[rows[:, :, None], columns[:, None, :]]
    return squares


def _continued(index: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """Continue an image beyond its border, beginning with the border's pixels."""
    inside = np.where(index < 0, -1 - index, index)
    return np.where(inside >= side, 2 * side - 1 - inside, inside)


def _mirrored(index: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    """Continue an image beyond its border, beginning with the pixels next to the border's."""
    return np.asarray(side - 1 - np.abs(side - 1 - np.abs(index)), np.intp)


def _at_border(at: Places, shape: tuple[int, ...]) -> Bools:
    rows, columns = at
    last_row, last_column = shape[0] - 1, shape[1] - 1
    at_ends = (rows == 0) | (rows == last_row) | (columns == 0) | (columns == last_column)
    return np.asarray(at_ends, bool)


def _some(at: Places, kept: Bools) -> Places:
    rows, columns = at
    return rows[kept], columns[kept]
