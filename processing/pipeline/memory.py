"""Refuse what would not fit, before hours of work and the kernel's killer find out."""

from __future__ import annotations

from processing.errors import ProcessingError

SINGLE_VOLUMES = 11
"""Volumes held at once at the peak of one series, the sphere fit: counted, and measured."""
DUAL_VOLUMES = 14
"""The same while two series are combined."""
BYTES_PER_VOXEL = 4


def require_memory(shape: tuple[int, ...], volumes: int, limit_GB: float) -> None:
    """Check that `volumes` volumes of `shape` [z, y, x] stay under the limit.

    Raises
    ------
    ProcessingError
        They do not.
    """
    depth, rows, columns = shape
    needed_GB = volumes * BYTES_PER_VOXEL * depth * rows * columns / 1e9
    if needed_GB > limit_GB:
        raise ProcessingError(
            f"volumes of {columns} x {rows} x {depth} voxels need about {needed_GB:.1f} GB, the "
            f"limit is {limit_GB:g} GB; bin the images, or raise memory_limit_GB"
        )
