"""Resample B's volume in A's frame: one rotation with one interpolation, slab by slab."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from processing.combine.pose import Pose
from processing.parallel import blocks, map_in_threads, over_blocks
from processing.progress import Progress, silent
from processing.scratch import Allocate, in_memory
from processing.series import Float32


def resample(
    volume_b: Float32,
    pose: Pose,
    shape_a: tuple[int, ...],
    pixel_a_nm: float,
    pixel_b_nm: float,
    *,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> Float32:
    """Resample `volume_b` [z, y, x] on A's grid of `shape_a`; cubic spline, 0 outside.

    The work is done in slabs. Apart from `volume_b`, only two arrays of a volume's size are
    allocated: the result and a spline-filtered copy of B.
    """
    back = pose.inverse()
    # arrays are indexed (z, y, x), poses (x, y, z)
    matrix = back.scale * back.matrix[::-1, ::-1] * (pixel_a_nm / pixel_b_nm)
    centre_a = (np.array(shape_a) - 1) / 2
    centre_b = (np.array(volume_b.shape) - 1) / 2
    offset = centre_b + back.shift_nm[::-1] / pixel_b_nm - matrix @ centre_a
    spline = _spline_coefficients(volume_b, allocate)
    moved = allocate(shape_a, np.float32)
    parts = blocks(shape_a[0])

    def fill(part: slice) -> None:
        ndimage.affine_transform(
            spline,
            matrix,
            offset + matrix[:, 0] * part.start,
            output=moved[part],
            output_shape=moved[part].shape,
            order=3,
            prefilter=False,
        )

    for done, _ in enumerate(map_in_threads(fill, parts), start=1):
        progress("resampling B", done / len(parts))
    return moved


def _spline_coefficients(volume: Float32, allocate: Allocate) -> Float32:
    """Compute the coefficients of the cubic spline through a volume, axis by axis."""
    spline = allocate(volume.shape, np.float32)

    def along_planes(part: slice) -> None:
        rows = ndimage.spline_filter1d(volume[part], axis=1, output=np.float32)
        spline[part] = ndimage.spline_filter1d(rows, axis=2, output=np.float32)

    def through_planes(part: slice) -> None:
        spline[:, part] = ndimage.spline_filter1d(spline[:, part], axis=0, output=np.float32)

    over_blocks(along_planes, volume.shape[0])
    over_blocks(through_planes, volume.shape[1])
    return spline
