"""Memory limit for volumes, checked before hours of work.

The limit covers all arrays the size of a volume that exist at the same time. Above the limit they
are stored in temporary files and processed in slabs, with the same result; the operating system
caches those files and frees that memory when it is needed. The images, a system matrix and some
planes for each thread are not included: they grow with the square of the side, not with its cube.
"""

from __future__ import annotations

from processing.errors import ProcessingError
from processing.scratch import Allocate, in_memory, on_disk

SINGLE_VOLUMES = 8
"""Largest number of volumes at a time while one series is processed: counted and measured."""
DUAL_VOLUMES = 14
"""Largest number of volumes at a time while two series are combined."""
MEMORY_VOLUMES = 2
"""Part of these that is always in memory: the blocks of slices being processed."""
BYTES_PER_VOXEL = 4


def allocator(shape: tuple[int, ...], volumes: int, limit_GB: float) -> Allocate:
    """Return the function that creates volumes of `shape` [z, y, x] within the memory limit.

    `volumes` is the largest number of volumes at a time. They go to disk if they exceed the limit.

    Raises
    ------
    ProcessingError
        They exceed the limit even on disk.
    """
    _require_memory(shape, min(volumes, MEMORY_VOLUMES), limit_GB)
    return in_memory if _needed_GB(shape, volumes) <= limit_GB else on_disk


def fits_memory(shape: tuple[int, ...], limit_GB: float) -> bool:
    """Return true if volumes of `shape` [z, y, x] can be processed, on disk if necessary."""
    return _needed_GB(shape, MEMORY_VOLUMES) <= limit_GB


def _require_memory(shape: tuple[int, ...], volumes: int, limit_GB: float) -> None:
    """Check that `volumes` volumes of `shape` [z, y, x] fit the limit.

    Raises
    ------
    ProcessingError
        They exceed the limit.
    """
    needed_GB = _needed_GB(shape, volumes)
    if needed_GB > limit_GB:
        depth, rows, columns = shape
        raise ProcessingError(
            f"volumes of {columns} x {rows} x {depth} voxels need about {needed_GB:.1f} GB, the "
            f"limit is {limit_GB:g} GB; choose a larger bin, or raise memory_limit_GB"
        )


def _needed_GB(shape: tuple[int, ...], volumes: int) -> float:
    depth, rows, columns = shape
    return volumes * BYTES_PER_VOXEL * depth * rows * columns / 1e9
