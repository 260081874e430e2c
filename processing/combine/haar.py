"""Haar wavelet transform of volumes in three dimensions, orthonormal and decimated (Haar 1910).

The arrays are those of any device. A band is named by one letter for each axis: ``a`` for the sums
of neighbouring voxels (approximation), ``d`` for their differences (detail).
"""

from __future__ import annotations

from itertools import product
from types import ModuleType

import numpy as np

from processing.device import Array

SCALE = np.float32(2**-1.5)
"""Factor that makes sums and differences along three axes orthonormal."""
BANDS = tuple("".join(letters) for letters in product("ad", repeat=3))
"""Names of the bands of one level."""
SMOOTH = BANDS[0]
"""Band of the approximation, which the next level divides again."""


def split(volume: Array) -> dict[str, Array]:
    """Return the bands of one level, each half as wide as the volume [z, y, x] of even sides."""
    parts = [volume]
    for axis in range(3):
        parts = [half for part in parts for half in _sum_and_difference(part, axis)]
    for part in parts:
        part *= SCALE
    return dict(zip(BANDS, parts, strict=True))


def join(bands: dict[str, Array], xp: ModuleType) -> Array:
    """Return the volume of these bands: the inverse of `split`."""
    parts = [bands[name] for name in BANDS]
    for axis in (2, 1, 0):
        parts = [
            _interleaved(*pair, axis, xp) for pair in zip(parts[::2], parts[1::2], strict=True)
        ]
    (volume,) = parts
    volume *= SCALE
    return volume


def _sum_and_difference(volume: Array, axis: int) -> tuple[Array, Array]:
    first, second = (volume[_every_second(start, axis)] for start in (0, 1))
    return first + second, first - second


def _interleaved(total: Array, difference: Array, axis: int, xp: ModuleType) -> Array:
    shape = tuple(2 * side if at == axis else side for at, side in enumerate(total.shape))
    volume = xp.empty(shape, dtype=total.dtype)
    volume[_every_second(0, axis)] = total + difference
    volume[_every_second(1, axis)] = total - difference
    return volume


def _every_second(start: int, axis: int) -> tuple[slice, ...]:
    return *(slice(None),) * axis, slice(start, None, 2)
