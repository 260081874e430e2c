"""The system matrix of one slice: parallel rays by linear interpolation (Joseph 1982).

Entry by entry ASTRA's `linear` projector, from which reading it out takes as long as several
iterations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from processing.series import Float32

Int32 = NDArray[np.int32]


Entries = tuple[Int32, Int32, Float32]
"""Voxel z * x, ray u and weight of every voxel that a ray of one tilt meets."""


def backprojection_matrix(tilts: Sequence[Entries], columns: int, depth: int) -> sparse.csr_matrix:
    """Transposed system matrix [z * x, tilt * u] of a slice, from its tilts' entries."""
    voxel = np.concatenate([tilt[0] for tilt in tilts])
    ray = np.concatenate([tilt[1] + np.int32(n * columns) for n, tilt in enumerate(tilts)])
    weight = np.concatenate([tilt[2] for tilt in tilts])
    shape = (depth * columns, len(tilts) * columns)
    entries = sparse.coo_matrix((weight, (voxel, ray)), shape)
    entries.has_canonical_format = True  # none occurs twice: nothing to sort and add up
    return entries.tocsr()


def tilt_entries(angle_rad: float, columns: int, depth: int) -> Entries:
    """Entries of one tilt for a slice of `depth` rows and `columns`.

    A ray is sampled once a row of the slice where it runs steeply, once a column where it does
    not, and shared between the two voxels on either side.
    """
    turned = _in_single_precision(angle_rad)
    cos, sin = np.cos(turned), np.sin(turned)
    steep = abs(cos) >= abs(sin)
    along, across = (depth, columns) if steep else (columns, depth)
    along_step, across_step = (columns, 1) if steep else (1, columns)
    main, side = (cos, sin) if steep else (sin, cos)
    u = np.arange(columns) - (columns - 1) / 2
    place = np.full((along, columns), -side / main, np.float32)
    place[0] = (u + (along - 1) / 2 * side) / main + (across - 1) / 2
    # added up step by step in single precision, rounding and all, as ASTRA does
    np.cumsum(place, axis=0, out=place)
    first = np.floor(place).astype(np.int32)
    beyond = place - first.astype(np.float32)
    voxel = np.arange(along, dtype=np.int32)[:, None] * np.int32(along_step)
    voxel = voxel + first * np.int32(across_step)
    ray = np.broadcast_to(np.arange(columns, dtype=np.int32), place.shape)
    length = np.float32(1 / abs(main))
    near = (first >= 0) & (first < across)
    far = (first >= -1) & (first < across - 1)
    return (
        np.concatenate([voxel[near], voxel[far] + np.int32(across_step)]),
        np.concatenate([ray[near], ray[far]]),
        np.concatenate([(1 - beyond[near]) * length, beyond[far] * length]),
    )


def _in_single_precision(angle_rad: float) -> float:
    """The angle as ASTRA keeps it: turning the other way, from 0 to 2 pi, in single precision."""
    turned = np.float32(-angle_rad)
    if turned < 0:
        turned += np.float32(2 * np.pi)
    return -float(turned)
