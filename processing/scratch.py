"""Room for arrays as large as a volume: in memory, or in files where a limit asks for it."""

from __future__ import annotations

import tempfile
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


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
