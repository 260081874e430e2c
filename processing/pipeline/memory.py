"""Where volumes go, and the refusal of what would not fit even so, before hours of work.

The limit covers every array as large as a volume that is held at once. Where they exceed it, they
go to files in the temporary folder and are worked in slabs, with the same result; what the
operating system keeps of the files in memory it gives back when asked. The images, a system matrix
and some planes a thread come on top: they grow with the square of the side, not with its cube.
"""

from __future__ import annotations

from processing.errors import ProcessingError
from processing.scratch import Allocate, in_memory, on_disk

SINGLE_VOLUMES = 8
"""Volumes held at once at the peak of one series, the sphere fit: counted, and measured."""
DUAL_VOLUMES = 14
"""The same while two series are combined."""
MEMORY_VOLUMES = 2
"""Of these, what is held in memory whatever the limit: the blocks of slices in work."""
BYTES_PER_VOXEL = 4


def allocator(shape: tuple[int, ...], volumes: int, limit_GB: float) -> Allocate:
    """Where arrays of `shape` [z, y, x] go, for `volumes` of them at once to stay under the limit.

    Raises
    ------
    ProcessingError
        They do not, on disk either.
    """
    require_memory(shape, min(volumes, MEMORY_VOLUMES), limit_GB)
    return in_memory if _needed_GB(shape, volumes) <= limit_GB else on_disk


def require_memory(shape: tuple[int, ...], volumes: int, limit_GB: float) -> None:
    """Check that `volumes` volumes of `shape` [z, y, x] stay under the limit.

    Raises
    ------
    ProcessingError
        They do not.
    """
    needed_GB = _needed_GB(shape, volumes)
    if needed_GB > limit_GB:
        depth, rows, columns = shape
        raise ProcessingError(
            f"volumes of {columns} x {rows} x {depth} voxels need about {needed_GB:.1f} GB, the "
            f"limit is {limit_GB:g} GB; bin the images, or raise memory_limit_GB"
        )


def _needed_GB(shape: tuple[int, ...], volumes: int) -> float:
    depth, rows, columns = shape
    return volumes * BYTES_PER_VOXEL * depth * rows * columns / 1e9
