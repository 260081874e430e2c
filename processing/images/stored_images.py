"""Images of a series as they are stored, read one at a time with their repairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.parallel import each_in_threads
from processing.series import Bools, Float32

Found = TypeVar("Found")

FEWEST_THREADS, PIXELS_PER_THREAD = 2, 2**15
"""Fewest threads for short calls on images, and pixels of an image for each further one. On small
images threads mostly wait for Python's interpreter lock: repair of 73 images of 208 x 208 px took
1.8 s with 16 threads, and 0.6 s with a single one of another machine."""


class StoredImages:
    """Images [tilt, y, x] of any sample type, in memory or on the disk, and their repaired pixels.

    Only the new values of wrong pixels are kept: a series may be of gigabytes.
    """

    def __init__(self, stored: NDArray[Any]) -> None:
        self.stored = stored
        self._repaired: list[list[tuple[NDArray[np.intp], Float32]]] = [[] for _ in stored]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        rows, columns = self.stored.shape[1:]
        return rows, columns

    def read(self, tilt: int) -> Float32:
        """Return a new float32 copy [y, x] of one image, with its repaired pixels."""
        image = np.array(self.stored[tilt], np.float32, order="C")
        for places, values in self._repaired[tilt]:
            image.ravel()[places] = values
        return image

    def replace(self, tilt: int, wrong: Bools, repaired: Float32) -> None:
        """Take the flagged pixels of an image from a repaired copy from now on."""
        places = np.flatnonzero(wrong)
        if places.size:
            self._repaired[tilt].append((places, repaired.ravel()[places]))

    def all(self) -> Float32:
        """Return all images as one array, [tilt, y, x]."""
        images = np.empty(self.stored.shape, np.float32)

        def copy(tilt: int) -> None:
            images[tilt] = self.read(tilt)

        over_images(copy, range(len(images)))
        return images


def over_images(work: Callable[[int], Found], tilts: Any) -> list[Found]:
    """Return the result of `work` for each tilt; images are worked on in threads."""
    return each_in_threads(work, tilts)


def image_threads(shape: tuple[int, int]) -> int:
    """Return the largest number of threads for many short calls on each image of this shape."""
    return max(FEWEST_THREADS, shape[0] * shape[1] // PIXELS_PER_THREAD)
