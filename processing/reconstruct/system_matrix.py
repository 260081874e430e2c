"""System matrix of one slice for parallel rays, by linear interpolation (Joseph 1982).

The entries equal those of ASTRA's `linear` projector. Reading them out of ASTRA would take as long
as several iterations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from processing.series import Float32

Int32 = NDArray[np.int32]

Entries = tuple[Int32, Int32, Float32]
"""Voxel index in z * x, ray index u, and weight, for each voxel that a ray of one tilt crosses."""


def backprojection_matrix(tilts: Sequence[Entries], columns: int, depth: int) -> sparse.csr_matrix:
    """Build the transposed system matrix [z * x, tilt * u] of a slice from all tilts."""
    voxel = np.concatenate([tilt[0] for tilt in tilts])
    ray = np.concatenate([tilt[1] + np.int32(n * columns) for n, tilt in enumerate(tilts)])
    weight = np.concatenate([tilt[2] for tilt in tilts])
    shape = (depth * columns, len(tilts) * columns)
    entries = sparse.coo_matrix((weight, (voxel, ray)), shape)
    entries.has_canonical_format = True  # no entry occurs twice, so skip sorting and adding
    return entries.tocsr()


def tilt_entries(angle_rad: float, columns: int, depth: int) -> Entries:
    """Return the matrix entries of one tilt for a slice of `depth` rows and `columns`.

    A steep ray is sampled once in each row of the slice, any other once in each column. Each sample
    is shared between the two nearest voxels.
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
    # accumulate in single precision, to have the same rounding as ASTRA
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
    """Return the angle as ASTRA stores it: negated, from 0 to 2 pi, in single precision."""
    turned = np.float32(-angle_rad)
    if turned < 0:
        turned += np.float32(2 * np.pi)
    return -float(turned)
