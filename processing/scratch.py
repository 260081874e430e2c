"""Arrays the size of a volume: in memory or in temporary files, and worked on in slabs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

SLAB = 64
"""Number of planes in a slab."""


def overlapping_slabs(planes: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Yield each slab of a volume, and the same slab extended by `halo` planes on both sides.

    The extended slab ends at the first and at the last plane of the volume.
    """
    for start in range(0, planes, SLAB):
        end = min(planes, start + SLAB)
        yield slice(start, end), slice(max(0, start - halo), min(planes, end + halo))


class Allocate(Protocol):
    """Function that creates an array without setting its values."""

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
        """Create an array of this shape and type."""
        ...


def in_memory(shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
    """Create an array in the memory of the process."""
    return np.empty(shape, dtype)


def on_disk(shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
    """Create an array in an unnamed temporary file, which disappears with its last view.

    The operating system caches as much of the file as memory allows, and frees that memory when
    other programs need it.
    """
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)
