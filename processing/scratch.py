"""Arrays as large as a volume: where they go, and how to work on them slab by slab."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

SLAB = 64
"""Planes that are worked on at once."""


def overlapping_slabs(planes: int, halo: int) -> Iterator[tuple[slice, slice]]:
    """Slabs of a volume, and the same widened by `halo` planes as far as there are any."""
    for start in range(0, planes, SLAB):
        end = min(planes, start + SLAB)
        yield slice(start, end), slice(max(0, start - halo), min(planes, end + halo))


class Allocate(Protocol):
    """Makes an array whose values are not set yet."""

    def __call__(self, shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
        """Make it."""
        ...


def in_memory(shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
    """An array of the process's own."""
    return np.empty(shape, dtype)


def on_disk(shape: tuple[int, ...], dtype: DTypeLike, /) -> NDArray[Any]:
    """An array in a nameless file of the temporary folder, gone with the last view of it.

    The operating system keeps as much of it in memory as there is to spare, and takes that back
    when it is asked for.
    """
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)
