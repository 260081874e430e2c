"""The parallel-beam system matrix of one slice, applied to blocks of slices at once.

Every slice across the tilt axis has the same system matrix. ASTRA builds it once; scipy's sparse
product then applies it to a block of slices, which reads each entry once for all of them and
releases the interpreter lock, so that threads over blocks add up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise

import astra
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from processing.series import Float32

BLOCK_SLICES = 32
"""Slices a block: wide enough to amortise reading the matrix, small enough for the cache."""


def worker_threads() -> int:
    """Threads for work over blocks: the cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else (os.cpu_count() or 1)


def slabs(slices: int, width: int = BLOCK_SLICES) -> Iterator[slice]:
    """Cut `slices` into runs of at most `width`, evenly."""
    count = max(1, -(-slices // width))
    edges = np.linspace(0, slices, count + 1).round().astype(int)
    return (slice(int(a), int(b)) for a, b in pairwise(edges))


class Projector:
    """Line integrals of slices [z, x] along the beam, u = x cos t + z sin t.

    Parameters
    ----------
    angles_rad
        [tilt].
    columns
        Width of an image and of a slice, pixels.
    depth
        Height of a slice along z, pixels; the width if not given.
    kind
        ASTRA's discretisation: ``linear`` or ``strip``.

    Notes
    -----
    A block holds its slices last: volume blocks [z * x, slice], projection blocks
    [tilt * u, slice].
    """

    def __init__(
        self,
        angles_rad: ArrayLike,
        columns: int,
        depth: int | None = None,
        kind: str = "linear",
    ) -> None:
        self.angles_rad = np.asarray(angles_rad, np.float64)
        self.columns = columns
        self.depth = depth or columns
        self._kind = kind

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """[tilt * u, z * x]; made when first asked for, which a GPU never does."""
        return _system_matrix(self.angles_rad, self.columns, self.depth, self._kind)

    @cached_property
    def transposed(self) -> sparse.csr_matrix:
        """The adjoint, by rows as well: a product with CSR runs along its output."""
        return self.matrix.T.tocsr()

    @cached_property
    def row_weights(self) -> Float32:
        """1 / (sum of each row), [tilt * u]; 0 for rays that miss the slice."""
        return _inverse(np.asarray(self.matrix.sum(axis=1)).ravel())

    @cached_property
    def column_weights(self) -> Float32:
        """1 / (sum of each column), [z * x]."""
        return _inverse(np.asarray(self.matrix.sum(axis=0)).ravel())

    def forward(self, volume: Float32) -> Float32:
        """Project a volume [z, y, x] to images [tilt, y, u]."""
        images = np.empty((len(self.angles_rad), volume.shape[1], self.columns), np.float32)
        matrix = self.matrix  # made here once, before the threads

        def project(part: slice) -> None:
            self.put_images(images, part, matrix @ self.volume_block(volume, part))

        over_slabs(project, volume.shape[1])
        return images

    def backward(self, images: Float32) -> Float32:
        """Smear images [tilt, y, u] back into a volume [z, y, x]; the adjoint of `forward`."""
        volume = np.empty((self.depth, images.shape[1], self.columns), np.float32)
        transposed = self.transposed  # made here once, before the threads

        def smear(part: slice) -> None:
            self.put_volume(volume, part, transposed @ self.image_block(images, part))

        over_slabs(smear, images.shape[1])
        return volume

    def image_block(self, images: Float32, part: slice) -> Float32:
        """Rows `part` of images [tilt, y, u] as a block [tilt * u, slice]."""
        return _to_block(images, part)

    def volume_block(self, volume: Float32, part: slice) -> Float32:
        """Slices `part` of a volume [z, y, x] as a block [z * x, slice]."""
        return _to_block(volume, part)

    def put_images(self, images: Float32, part: slice, block: Float32) -> None:
        """Write a block [tilt * u, slice] into rows `part` of images."""
        images[:, part] = block.reshape(len(self.angles_rad), self.columns, -1).swapaxes(1, 2)

    def put_volume(self, volume: Float32, part: slice, block: Float32) -> None:
        """Write a block [z * x, slice] into slices `part` of a volume."""
        volume[:, part] = block.reshape(self.depth, self.columns, -1).swapaxes(1, 2)


def over_slabs(work: Callable[[slice], None], slices: int) -> None:
    """Run `work` on every slab, in threads."""
    threads = worker_threads()
    parts = list(slabs(slices, min(BLOCK_SLICES, max(1, -(-slices // threads)))))
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass


def _to_block(stack: Float32, part: slice) -> Float32:
    moved = stack[:, part].swapaxes(1, 2)
    return np.ascontiguousarray(moved, np.float32).reshape(-1, moved.shape[2])


def _inverse(sums: NDArray[np.floating]) -> Float32:
    # a ray that only grazes a corner would be amplified without a bound
    floor = 1e-3 * sums.max()
    return np.where(sums > floor, 1 / np.maximum(sums, floor), 0).astype(np.float32)


def _system_matrix(
    angles_rad: NDArray[np.float64], columns: int, depth: int, kind: str
) -> sparse.csr_matrix:
    volume = astra.create_vol_geom(depth, columns)
    # ASTRA's rows run against our z
    rays = astra.create_proj_geom("parallel", 1.0, columns, -angles_rad)
    projector = astra.create_projector(kind, rays, volume)
    matrix = None
    try:
        matrix = astra.projector.matrix(projector)
        return astra.matrix.get(matrix).astype(np.float32)
    finally:
        astra.projector.delete(projector)
        if matrix is not None:
            astra.matrix.delete(matrix)
