"""The parallel-beam system matrix of one slice, applied to blocks of slices at once.

Every slice across the tilt axis has the same system matrix. scipy's sparse product applies it to
a block of slices, which reads each entry once for all of them and releases the interpreter lock,
so that threads over blocks add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from processing.parallel import over_blocks, slabs, worker_threads
from processing.reconstruct.system_matrix import backprojection_matrix, tilt_entries
from processing.series import Float32

TILE = 32
"""Edge of the pieces a slice is worked in, pixels: one and its rays fit the cache."""


class Tile(NamedTuple):
    """A piece of a slice and its part of the system matrix.

    Attributes
    ----------
    rows, columns
        Where it lies: z and x.
    rays
        Which of tilt * u meet it.
    forward
        [ray, voxel], by rows.
    backward
        Its transpose, by rows as well: a product with CSR runs along its output.
    """

    rows: slice
    columns: slice
    rays: NDArray[np.intp]
    forward: sparse.csr_matrix
    backward: sparse.csr_matrix

    def block(self, volume: Float32, part: slice) -> Float32:
        """Slices `part` of the piece of a volume [z, y, x] as a block [z * x, slice]."""
        return _to_block(volume[self.rows, :, self.columns], part)

    def put(self, volume: Float32, part: slice, block: Float32) -> None:
        """Write a block [z * x, slice] to where it belongs in slices `part` of a volume."""
        piece = volume[self.rows, part, self.columns]
        piece[:] = block.reshape(piece.shape[0], piece.shape[2], -1).swapaxes(1, 2)


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

    Notes
    -----
    A block holds its slices last: volume blocks [z * x, slice], one a tile; image blocks
    [tilt * u, slice].
    """

    def __init__(self, angles_rad: ArrayLike, columns: int, depth: int | None = None) -> None:
        self.angles_rad = np.asarray(angles_rad, np.float64)
        self.columns = columns
        self.depth = depth or columns

    @cached_property
    def transposed(self) -> sparse.csr_matrix:
        """Adjoint of the system matrix, [z * x, tilt * u]."""
        return self._backprojection()

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """System matrix, [tilt * u, z * x]."""
        return self.transposed.T.tocsr()

    @cached_property
    def tiles(self) -> list[Tile]:
        """The system matrix in pieces: what is next to each other is in the cache together."""
        transposed = self._backprojection()
        pieces = product(slabs(self.depth, TILE), slabs(self.columns, TILE))
        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(lambda piece: _tile(transposed, self.columns, *piece), pieces))

    @cached_property
    def row_weights(self) -> Float32:
        """1 / (sum of each row), [tilt * u]; 0 for rays that miss the slice."""
        sums = np.zeros(len(self.angles_rad) * self.columns)
        for tile in self.tiles:
            sums[tile.rays] += tile.forward.sum(axis=1).A1
        return _inverse(sums)

    @cached_property
    def column_weights(self) -> Float32:
        """1 / (sum of each column), [z, x]."""
        sums = np.zeros((self.depth, self.columns))
        for tile in self.tiles:
            piece = sums[tile.rows, tile.columns]
            piece[:] = tile.backward.sum(axis=1).reshape(piece.shape)
        return _inverse(sums)

    def forward(self, volume: Float32) -> Float32:
        """Project a volume [z, y, x] to images [tilt, y, u]."""
        images = np.empty((len(self.angles_rad), volume.shape[1], self.columns), np.float32)
        tiles = self.tiles  # made here once, before the threads

        def project(part: slice) -> None:
            seen = self.projected([tile.block(volume, part) for tile in tiles])
            images[:, part] = seen.reshape(len(images), self.columns, -1).swapaxes(1, 2)

        over_blocks(project, volume.shape[1])
        return images

    def backward(self, images: Float32) -> Float32:
        """Smear images [tilt, y, u] back into a volume [z, y, x]; the adjoint of `forward`."""
        volume = np.empty((self.depth, images.shape[1], self.columns), np.float32)
        tiles = self.tiles  # made here once, before the threads

        def smear(part: slice) -> None:
            rays = self.image_block(images, part)
            for tile in tiles:
                tile.put(volume, part, tile.backward @ rays[tile.rays])

        over_blocks(smear, images.shape[1])
        return volume

    def projected(self, blocks: Sequence[Float32]) -> Float32:
        """Project one block [z * x, slice] a tile to a block of images [tilt * u, slice]."""
        rays = np.zeros((len(self.angles_rad) * self.columns, blocks[0].shape[1]), np.float32)
        for tile, block in zip(self.tiles, blocks, strict=True):
            rays[tile.rays] += tile.forward @ block
        return rays

    def image_block(self, images: Float32, part: slice) -> Float32:
        """Rows `part` of images [tilt, y, u] as a block [tilt * u, slice]."""
        return _to_block(images, part)

    def _backprojection(self) -> sparse.csr_matrix:
        """Make the adjoint: not before it is asked for, which a GPU never does."""
        with ThreadPoolExecutor(worker_threads()) as pool:
            tilts = pool.map(
                lambda angle: tilt_entries(angle, self.columns, self.depth), self.angles_rad
            )
            return backprojection_matrix(list(tilts), self.columns, self.depth)


def _tile(transposed: sparse.csr_matrix, columns: int, z: slice, x: slice) -> Tile:
    voxels = np.arange(z.start, z.stop)[:, None] * columns + np.arange(x.start, x.stop)
    part = transposed[voxels.ravel()]
    met = np.zeros(transposed.shape[1], bool)
    met[part.indices] = True
    rays = np.flatnonzero(met)
    place = (np.cumsum(met, dtype=np.int32) - 1)[part.indices]
    shape = (voxels.size, len(rays))
    backward = sparse.csr_matrix((part.data, place, part.indptr), shape)
    return Tile(z, x, rays, backward.T.tocsr(), backward)


def _to_block(stack: Float32, part: slice) -> Float32:
    moved = stack[:, part].swapaxes(1, 2)
    return np.ascontiguousarray(moved, np.float32).reshape(-1, moved.shape[2])


def _inverse(sums: NDArray[np.floating]) -> Float32:
    # a ray that only grazes a corner would be amplified without a bound
    floor = 1e-3 * sums.max()
    return np.where(sums > floor, 1 / np.maximum(sums, floor), 0).astype(np.float32)
