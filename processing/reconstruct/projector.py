"""Parallel-beam projector and back-projector, applied to blocks of slices.

All slices across the tilt axis have the same system matrix. The sparse product of scipy applies it
to a block of slices at once: it reads each entry once for all of them, and releases the interpreter
lock, so that several threads run in parallel.
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
"""Side of a tile (px): a tile and its rays fit the cache."""


class Tile(NamedTuple):
    """Square part of a slice, with its part of the system matrix.

    Attributes
    ----------
    rows, columns
        Range in z and in x.
    rays
        Indices, in tilt * u, of the rays that cross the tile.
    forward
        Projection matrix [ray, voxel], stored by rows.
    backward
        Its transpose, also stored by rows: a CSR product is fast along the rows of its output.
    """

    rows: slice
    columns: slice
    rays: NDArray[np.intp]
    forward: sparse.csr_matrix
    backward: sparse.csr_matrix

    def read_block(self, volume: Float32, part: slice) -> Float32:
        """Return slices `part` of this tile of a volume [z, y, x] as a block [z * x, slice]."""
        return _to_block(volume[self.rows, :, self.columns], part)

    def write_block(self, volume: Float32, part: slice, block: Float32) -> None:
        """Write a block [z * x, slice] into slices `part` of this tile of a volume."""
        piece = volume[self.rows, part, self.columns]
        piece[:] = block.reshape(piece.shape[0], piece.shape[2], -1).swapaxes(1, 2)


class Projector:
    """Line integrals through slices [z, x] along the beam, with u = x cos t + z sin t.

    Parameters
    ----------
    angles_rad
        Tilt angles, [tilt].
    columns
        Width of an image and of a slice (px).
    depth
        Height of a slice along z (px); by default the width.

    Notes
    -----
    Slices are the last axis of a block: a volume block is [z * x, slice] for each tile, an image
    block is [tilt * u, slice].
    """

    def __init__(self, angles_rad: ArrayLike, columns: int, depth: int | None = None) -> None:
        self.angles_rad = np.asarray(angles_rad, np.float64)
        self.columns = columns
        self.depth = depth or columns

    @cached_property
    def adjoint_matrix(self) -> sparse.csr_matrix:
        """Adjoint of the system matrix, [z * x, tilt * u]."""
        return self._backprojection()

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """System matrix, [tilt * u, z * x]."""
        return self.adjoint_matrix.T.tocsr()

    @cached_property
    def tiles(self) -> list[Tile]:
        """System matrix in tiles, so that neighbouring voxels are in the cache together."""
        adjoint = self._backprojection()
        pieces = product(slabs(self.depth, TILE), slabs(self.columns, TILE))
        with ThreadPoolExecutor(worker_threads()) as pool:
            return list(pool.map(lambda piece: _tile(adjoint, self.columns, *piece), pieces))

    @cached_property
    def row_weights(self) -> Float32:
        """Inverse sum of each matrix row, [tilt * u]; 0 for rays that miss the slice."""
        sums = np.zeros(len(self.angles_rad) * self.columns)
        for tile in self.tiles:
            sums[tile.rays] += tile.forward.sum(axis=1).A1
        return _inverse(sums)

    @cached_property
    def column_weights(self) -> Float32:
        """Inverse sum of each matrix column, [z, x]."""
        sums = np.zeros((self.depth, self.columns))
        for tile in self.tiles:
            piece = sums[tile.rows, tile.columns]
            piece[:] = tile.backward.sum(axis=1).reshape(piece.shape)
        return _inverse(sums)

    def forward(self, volume: Float32) -> Float32:
        """Project a volume [z, y, x] to images [tilt, y, u]."""
        images = np.empty((len(self.angles_rad), volume.shape[1], self.columns), np.float32)
        tiles = self.tiles  # build them once, before the threads start

        def project(part: slice) -> None:
            rays = self.forward_block([tile.read_block(volume, part) for tile in tiles])
            images[:, part] = rays.reshape(len(images), self.columns, -1).swapaxes(1, 2)

        over_blocks(project, volume.shape[1])
        return images

    def backward(self, images: Float32) -> Float32:
        """Back-project images [tilt, y, u] into a volume [z, y, x]: the adjoint of `forward`."""
        volume = np.empty((self.depth, images.shape[1], self.columns), np.float32)
        tiles = self.tiles  # build them once, before the threads start

        def back_project(part: slice) -> None:
            rays = self.image_block(images, part)
            for tile in tiles:
                tile.write_block(volume, part, tile.backward @ rays[tile.rays])

        over_blocks(back_project, images.shape[1])
        return volume

    def forward_block(self, blocks: Sequence[Float32]) -> Float32:
        """Project blocks [z * x, slice], one for each tile, to an image block [tilt * u, slice]."""
        rays = np.zeros((len(self.angles_rad) * self.columns, blocks[0].shape[1]), np.float32)
        for tile, block in zip(self.tiles, blocks, strict=True):
            rays[tile.rays] += tile.forward @ block
        return rays

    def image_block(self, images: Float32, part: slice) -> Float32:
        """Return rows `part` of images [tilt, y, u] as an image block [tilt * u, slice]."""
        return _to_block(images, part)

    def _backprojection(self) -> sparse.csr_matrix:
        """Build the adjoint matrix. Called on first use only: a GPU needs no matrix."""
        with ThreadPoolExecutor(worker_threads()) as pool:
            tilts = pool.map(
                lambda angle: tilt_entries(angle, self.columns, self.depth), self.angles_rad
            )
            return backprojection_matrix(list(tilts), self.columns, self.depth)


class Projectors:
    """Projectors of one series, each made once: its system matrix takes longer than its use.

    They are freed together with this object.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[bytes, int], Projector] = {}

    def of(self, angles_rad: ArrayLike, columns: int) -> Projector:
        """Return the projector for these tilt angles [tilt] and this width of image (px)."""
        angles = np.asarray(angles_rad, np.float64)
        key = (angles.tobytes(), columns)
        if key not in self._made:
            self._made[key] = Projector(angles, columns)
        return self._made[key]


def _tile(adjoint: sparse.csr_matrix, columns: int, z: slice, x: slice) -> Tile:
    voxels = np.arange(z.start, z.stop)[:, None] * columns + np.arange(x.start, x.stop)
    part = adjoint[voxels.ravel()]
    met = np.zeros(adjoint.shape[1], bool)
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
    # without the floor, a ray that only touches a corner would be amplified without limit
    floor = 1e-3 * sums.max()
    return np.where(sums > floor, 1 / np.maximum(sums, floor), 0).astype(np.float32)
