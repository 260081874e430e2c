"""Voxels of a volume: their number and size, and the place of a point among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Facts = Mapping[str, str | int | float]
"""Facts about a volume that stand beside it in a file, each under its name with the unit."""


@dataclass(frozen=True)
class VolumeGrid:
    """Cubic voxels of a volume.

    Attributes
    ----------
    shape
        Number of voxels along z, y and x.
    pixel_nm
        Side of a voxel.
    """

    shape: tuple[int, int, int]
    pixel_nm: float

    @property
    def size_xyz(self) -> NDArray[np.int64]:
        """Number of voxels along x, y and z."""
        return np.array(self.shape[::-1])

    def index(self, centres_nm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the indices [n, 3] as (x, y, z) of points given from the centre of the volume.

        An index counts from 0, and is whole at the centre of a voxel.
        """
        return centres_nm / self.pixel_nm + (self.size_xyz - 1) / 2

    @property
    def first_nm(self) -> NDArray[np.float64]:
        """Centre (x, y, z) of the first voxel, from the centre of the volume."""
        return -self.pixel_nm * (self.size_xyz - 1) / 2


def slabs(planes: int, thickness: int) -> Iterator[slice]:
    """Yield the planes of a volume in slabs; the last one may be thinner."""
    for start in range(0, planes, thickness):
        yield slice(start, min(planes, start + thickness))


def equal_chunks(shape: Sequence[int], largest: Sequence[int]) -> tuple[int, ...]:
    """Divide each side of a volume into equal parts, so that little of the last chunk is empty."""
    counts = [-(-side // most) for side, most in zip(shape, largest, strict=True)]
    return tuple(-(-side // count) for side, count in zip(shape, counts, strict=True))
