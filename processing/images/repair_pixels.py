"""Repair a stack of images: replace wrong pixels from their neighbours, and say how many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.images.bad_borders import find_bad_columns_at_edge, find_padding
from processing.images.bad_pixels import find_lines, find_spikes, find_stuck_pixels
from processing.images.missing_blocks import find_constant_blocks, hides_object
from processing.images.noise import Noise, measure_noise
from processing.images.stored_images import StoredImages, image_threads
from processing.parallel import each_in_threads
from processing.series import Bools, Float32, Float64

LARGEST_VALUE = 1e12
"""Value from which a pixel counts as non-finite: no detector gives it, and its powers overflow."""
LARGEST_LOST = 0.3
"""Largest fraction of non-finite pixels that is repaired; an image with more is lost."""
FILL_PX = 1.0
"""Standard deviation of the weights with which good neighbours replace a wrong pixel."""
FILL_REACH_PX = 4
"""Distance up to which those neighbours are taken, in each direction."""
LEAST_WEIGHT = 1e-3
"""Smallest total weight of good neighbours; further away the nearest good pixel is taken."""


@dataclass(frozen=True)
class Repairs:
    """Number of repairs by fault; stuck pixels and lines are counted once, not once an image."""

    not_finite: int = 0
    blocks: int = 0
    padding: int = 0
    stuck: int = 0
    spikes: int = 0
    lines: int = 0
    border_lines: int = 0
    lost: tuple[int, ...] = ()
    """Images of which so much is missing that they can not be used."""

    def text(self) -> str:
        """Return the repairs as a list in words; empty if there were none."""
        kinds = [
            (self.stuck, "stuck pixel"),
            (self.spikes, "spike"),
            (self.lines, "dead or bright line"),
            (self.border_lines, "wrong border line"),
            (self.padding, "constant border pixel"),
            (self.blocks, "constant pixel"),
            (self.not_finite, "non-finite pixel"),
        ]
        return ", ".join(f"{n} {kind}{'s' if n != 1 else ''}" for n, kind in kinds if n)


@dataclass(frozen=True)
class _Lines:
    """Repairs of one image before those of single pixels; a line is its axis and its index."""

    noise: Noise | None
    """Noise of the image; None if it changed with the repair."""
    not_finite: int
    blocks: int
    padding: int
    lines: frozenset[tuple[str, int]]
    border_lines: frozenset[tuple[str, int]]


def repair_pixels(images: Float32) -> tuple[Float32, Repairs]:
    """Return repaired images [tilt, y, x] and the repairs; without a fault, the images themselves.

    Images that are lost have no finite pixel.
    """
    stored, repairs = repair_stored(images)
    return (images, repairs) if repairs == Repairs() else (stored.all(), repairs)


def repair_stored(images: NDArray[Any]) -> tuple[StoredImages, Repairs]:
    """Repair images [tilt, y, x] of any sample type, which may be on the disk, one at a time."""
    stack = StoredImages(images)
    threads = image_threads(stack.shape)
    found = each_in_threads(partial(_repair_lines, stack), range(len(images)), at_most=threads)
    kept = np.flatnonzero([each is not None for each in found])
    lines = [each for each in found if each is not None]
    stuck = find_stuck_pixels(stack.read, stack.shape, kept)
    known = [None if stuck.any() else each.noise for each in lines]
    repair = partial(_repair_spikes, stack, stuck)
    spikes = each_in_threads(repair, kept, known, at_most=threads)
    nowhere: frozenset[tuple[str, int]] = frozenset()
    return stack, Repairs(
        not_finite=sum(each.not_finite for each in lines),
        blocks=sum(each.blocks for each in lines),
        padding=sum(each.padding for each in lines),
        stuck=int(stuck.sum()),
        spikes=sum(spikes),
        lines=len(nowhere.union(*(each.lines for each in lines))),
        border_lines=len(nowhere.union(*(each.border_lines for each in lines))),
        lost=tuple(tilt for tilt, each in enumerate(found) if each is None),
    )


def _repair_lines(stack: StoredImages, tilt: int) -> _Lines | None:
    """Repair missing pixels, padding and wrong lines of an image; None if it is lost."""
    image = stack.read(tilt)
    not_finite = ~(np.abs(image) < LARGEST_VALUE)
    if not_finite.mean() > LARGEST_LOST:
        _lose(stack, tilt)
        return None
    image = fill_pixels(image, not_finite)
    noise = measure_noise(image)
    blocks = find_constant_blocks(image, noise)
    missing = not_finite | blocks
    if blocks.any():
        image = fill_pixels(image, missing)
        noise = measure_noise(image)
    if hides_object(missing, image, noise):
        _lose(stack, tilt)
        return None
    noise, padding, lines, border_lines = _find_lines(image, noise)
    wrong = padding.copy()
    for axis, at in lines | border_lines:
        wrong[(slice(None), at) if axis == "column" else (at, slice(None))] = True
    stack.replace(tilt, missing | wrong, fill_pixels(image, wrong))
    numbers = int(not_finite.sum()), int(blocks.sum()), int(padding.sum())
    return _Lines(None if wrong.any() else noise, *numbers, lines, border_lines)


def _lose(stack: StoredImages, tilt: int) -> None:
    """Take no pixel of an image: what is left of it would be compared with other whole images."""
    nothing = np.full(stack.shape, np.nan, np.float32)
    stack.replace(tilt, np.ones(stack.shape, bool), nothing)


def _repair_spikes(stack: StoredImages, stuck: Bools, tilt: int, noise: Noise | None) -> int:
    """Repair stuck pixels and spikes of an image; return the number of spikes.

    `noise` is that of the image without stuck pixels; None if it is to be measured.
    """
    image = fill_pixels(stack.read(tilt), stuck)
    spikes = find_spikes(image, noise or measure_noise(image))
    stack.replace(tilt, stuck | spikes, fill_pixels(image, spikes))
    return int(spikes.sum())


def repair_image(image: Float32) -> Float32:
    """Repair a single image [y, x]; a stuck pixel is a spike there. A lost image is NaN."""
    repaired, _ = repair_pixels(image[None])
    return np.asarray(repaired[0], np.float32)


def fill_pixels(image: Float32, wrong: Bools) -> Float32:
    """Replace wrong pixels of an image [y, x] by the mean of the good ones around or nearest."""
    rows, columns = np.nonzero(wrong)
    if not len(rows):
        return image
    if len(rows) * FILL_REACH_PX**2 < image.size:
        values, weight = _mean_around(image, wrong, rows, columns)
        if (weight > LEAST_WEIGHT).all():
            filled = image.copy()
            filled[rows, columns] = values
            return filled
    return _filled_from_far(image, wrong)


def _mean_around(
    image: Float32, wrong: Bools, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Float64, Float64]:
    """Return the weighted mean of the good pixels around each pixel, and their total weight."""
    around = np.arange(-FILL_REACH_PX, FILL_REACH_PX + 1)
    kernel = np.exp(-(around**2) / (2 * FILL_PX**2))
    kernel /= kernel.sum()
    total, weight = np.zeros(len(rows)), np.zeros(len(rows))
    for (y, factor_y), (x, factor_x) in product(zip(around, kernel, strict=True), repeat=2):
        row, column = rows + y, columns + x
        inside = (row >= 0) & (row < image.shape[0]) & (column >= 0) & (column < image.shape[1])
        row, column = np.where(inside, row, 0), np.where(inside, column, 0)
        good = inside & ~wrong[row, column]
        weight += factor_y * factor_x * good
        total += factor_y * factor_x * np.where(good, image[row, column], 0)
    return total / np.maximum(weight, 1e-9), weight


def _filled_from_far(image: Float32, wrong: Bools) -> Float32:
    good = (~wrong).astype(np.float32)
    weight = ndimage.gaussian_filter(good, FILL_PX, mode="constant")
    values = np.where(wrong, np.float32(0), image)
    mean = ndimage.gaussian_filter(values, FILL_PX, mode="constant") / np.maximum(weight, 1e-9)
    known = weight > LEAST_WEIGHT
    if not known.all():
        nearest = ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        mean = mean[tuple(nearest)]
    return np.asarray(np.where(wrong, mean, image), np.float32)


def _find_lines(
    image: Float32, noise: Noise
) -> tuple[Noise, Bools, frozenset[tuple[str, int]], frozenset[tuple[str, int]]]:
    """Return noise, padding, wrong lines and wrong border lines of one image of finite pixels."""
    padding = find_padding(image, noise)
    if padding.any():
        image = fill_pixels(image, padding)
        noise = measure_noise(image)
    lines: set[tuple[str, int]] = set()
    border: set[tuple[str, int]] = set()
    for axis, view in (("column", image), ("row", image.T)):
        last = view.shape[1] - 1
        border |= {(axis, at) for at in range(find_bad_columns_at_edge(view, noise))}
        far = find_bad_columns_at_edge(view[:, ::-1], noise)
        border |= {(axis, last - at) for at in range(far)}
        lines |= {(axis, int(at)) for at in np.flatnonzero(find_lines(view, noise))}
    return noise, padding, frozenset(lines - border), frozenset(border)
