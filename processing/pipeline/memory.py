"""Memory limit for volumes, checked before hours of work.

The limit covers all arrays the size of a volume that exist at the same time. Above the limit they
are stored in temporary files and processed in slabs, with the same result; the operating system
caches those files and frees that memory when it is needed. The images, a system matrix and some
planes for each thread are not included: they grow with the square of the side, not with its cube.
The matrices of the sphere fit have a limit of their own (`processing.fit.spline_matrices`).
"""

from __future__ import annotations

from processing.errors import ProcessingError
from processing.image_size import memory_refusal, volumes_GB
from processing.scratch import Allocate, in_memory, on_disk

SINGLE_VOLUMES = 8
"""Largest number of volumes at a time while one series is processed: counted and measured."""
DUAL_VOLUMES = 14
"""Largest number of volumes at a time while two series are combined."""


def allocator(shape: tuple[int, ...], volumes: int, limit_GB: float) -> Allocate:
    """Return the function that creates volumes of `shape` [z, y, x] within the memory limit.

    `volumes` is the largest number of volumes at a time. They go to disk if they exceed the limit.

    Raises
    ------
    ProcessingError
        They exceed the limit even on disk.
    """
    _, rows, columns = shape
    if refusal := memory_refusal(columns, rows, limit_GB):
        raise ProcessingError(refusal)
    return in_memory if volumes_GB(columns, rows, volumes) <= limit_GB else on_disk
