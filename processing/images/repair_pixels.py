"""Repair a stack of images: replace wrong pixels from their neighbours, and say how many."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import ndimage

from processing.images.bad_borders import find_bad_columns_at_edge, find_padding
from processing.images.bad_pixels import find_lines, find_spikes, find_stuck_pixels
from processing.images.noise import measure_noise
from processing.parallel import worker_threads
from processing.series import Bools, Float32

Found = TypeVar("Found")

LARGEST_LOST = 0.3
"""Largest fraction of non-finite pixels that is repaired; an image with more is lost."""
FILL_PX = 1.0
"""Standard deviation of the weights with which good neighbours replace a wrong pixel."""
LEAST_WEIGHT = 1e-3
"""Smallest total weight of good neighbours; further away the nearest good pixel is taken."""


@dataclass(frozen=True)
class Repairs:
    """Number of repairs by fault; stuck pixels and lines are counted once, not once an image."""

    not_finite: int = 0
    padding: int = 0
    stuck: int = 0
    spikes: int = 0
    lines: int = 0
    border_lines: int = 0

    def text(self) -> str:
        """Return the repairs as a list in words; empty if there were none."""
        kinds = [
            (self.stuck, "stuck pixel"),
            (self.spikes, "spike"),
            (self.lines, "dead or bright line"),
            (self.border_lines, "wrong border line"),
            (self.padding, "constant border pixel"),
            (self.not_finite, "non-finite pixel"),
        ]
        return ", ".join(f"{n} {kind}{'s' if n != 1 else ''}" for n, kind in kinds if n)


@dataclass(frozen=True, eq=False)
class _Lines:
    """Padding and wrong lines of one image; a line is its axis and its index."""

    padding: Bools
    lines: frozenset[tuple[str, int]]
    border_lines: frozenset[tuple[str, int]]

    def mask(self) -> Bools:
        wrong = self.padding.copy()
        for axis, at in self.lines | self.border_lines:
            wrong[(slice(None), at) if axis == "column" else (at, slice(None))] = True
        return wrong


def repair_pixels(images: Float32) -> tuple[Float32, Repairs]:
    """Return repaired images [tilt, y, x] and the repairs; without a fault, the images themselves.

    Images that are lost keep their non-finite pixels.
    """
    stack = _Stack(np.array(images, np.float32))
    not_finite = stack.fill(lambda image: ~np.isfinite(image))
    lines = stack.over_images(_find_lines)
    stack.fill_each([each.mask() for each in lines])
    stuck = find_stuck_pixels(stack.images, stack.kept)
    stack.fill(lambda image: stuck)
    spikes = stack.fill(lambda image: find_spikes(image, measure_noise(image)))
    nowhere: frozenset[tuple[str, int]] = frozenset()
    repairs = Repairs(
        not_finite=not_finite,
        padding=sum(int(each.padding.sum()) for each in lines),
        stuck=int(stuck.sum()),
        spikes=spikes,
        lines=len(nowhere.union(*(each.lines for each in lines))),
        border_lines=len(nowhere.union(*(each.border_lines for each in lines))),
    )
    return (stack.images, repairs) if repairs.text() else (images, repairs)


class _Stack:
    """Images that are repaired in place: a series may be of gigabytes."""

    def __init__(self, images: Float32) -> None:
        self.images = images
        finite = np.array([np.isfinite(image).mean() for image in images])
        self.kept = np.flatnonzero(finite >= 1 - LARGEST_LOST)

    def over_images(self, work: Callable[[Float32], Found]) -> list[Found]:
        """Return the result of `work` for each image that is not lost."""
        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(lambda tilt: work(self.images[tilt]), self.kept))

    def fill(self, find: Callable[[Float32], Bools]) -> int:
        """Fill the pixels that `find` flags in each image; return their number."""

        def one(image: Float32) -> int:
            wrong = find(image)
            image[:] = fill_pixels(image, wrong)
            return int(wrong.sum())

        return sum(self.over_images(one))

    def fill_each(self, masks: list[Bools]) -> None:
        """Fill the pixels of one mask for each image that is not lost."""
        for tilt, wrong in zip(self.kept, masks, strict=True):
            self.images[tilt] = fill_pixels(self.images[tilt], wrong)


def repair_image(image: Float32) -> Float32:
    """Repair a single image [y, x]; a stuck pixel is a spike there. A lost image stays as it is."""
    repaired, _ = repair_pixels(image[None])
    return np.asarray(repaired[0], np.float32)


def fill_pixels(image: Float32, wrong: Bools) -> Float32:
    """Replace wrong pixels of an image [y, x] by the mean of the good ones around or nearest."""
    if not wrong.any():
        return image
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


def _find_lines(image: Float32) -> _Lines:
    """Find padding and wrong lines of one image without non-finite pixels."""
    noise = measure_noise(image)
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
    return _Lines(padding, frozenset(lines - border), frozenset(border))
