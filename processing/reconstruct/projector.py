"""Parallel-beam projector and back-projector, applied to blocks of slices.

All slices across the tilt axis have the same system matrix. The sparse product of scipy applies it
to a block of slices at once: it reads each entry once for all of them, and releases the interpreter
lock, so that several threads run in parallel. On a GPU the same product runs on whole slices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from processing.device import CPU, Array, Device
from processing.parallel import cache_bytes, each_in_threads, slabs
from processing.reconstruct.system_matrix import backprojection_matrix, tilt_entries
from processing.series import Float32

TILE_CACHES = 1.5
"""Memory of a tile in the iterations, in second-level caches: the least used part waits in the
third."""
SMALLEST_TILE = 16
"""Smallest side of a tile (px): smaller ones cost more calls than they save."""
ENTRY_BYTES = 8
"""Memory of one entry of a sparse matrix: its value and its index."""
BLOCK_COPIES = 8
"""Arrays as large as a block of slices and its images that exist at a time, in the iterations."""


class Tile(NamedTuple):
    """Square part of a slice, with its part of the system matrix.

    Attributes
    ----------
    rows, columns
        Range in z and in x.
    rays
        Indices, in tilt * u, of the rays that cross the tile; all rays for a whole slice.
    forward
        Projection matrix [ray, voxel], stored by rows, on the device.
    backward
        Its transpose, also stored by rows: a CSR product is fast along the rows of its output.
    device
        Device that holds the matrices and the blocks.
    """

    rows: slice
    columns: slice
    rays: NDArray[np.intp] | slice
    forward: sparse.csr_matrix
    backward: sparse.csr_matrix
    device: Device = CPU

    def read_block(self, volume: Float32, part: slice) -> Array:
        """Return slices `part` of this tile of a volume [z, y, x] as a block [z * x, slice]."""
        return _to_block(volume[self.rows, :, self.columns], part, self.device)

    def write_block(self, volume: Float32, part: slice, block: Array) -> None:
        """Write a block [z * x, slice] into slices `part` of this tile of a volume."""
        piece = volume[self.rows, part, self.columns]
        shaped = block.reshape(piece.shape[0], piece.shape[2], -1).swapaxes(1, 2)
        piece[:] = self.device.to_host(shaped)


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
    device
        Device of the products. The CPU takes over if the matrices do not fit a GPU.

    Notes
    -----
    Slices are the last axis of a block: a volume block is [z * x, slice] for each tile, an image
    block is [tilt * u, slice].
    """

    def __init__(
        self,
        angles_rad: ArrayLike,
        columns: int,
        depth: int | None = None,
        device: Device = CPU,
    ) -> None:
        self.angles_rad = np.asarray(angles_rad, np.float64)
        self.columns = columns
        self.depth = depth or columns
        entries = 2 * len(self.angles_rad) * self.depth * self.columns
        # both matrices, and at least as much for the blocks
        self.device = device if device.holds(4 * ENTRY_BYTES * entries) else CPU

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
        """System matrix in tiles, so that neighbouring voxels are in the cache together.

        A GPU has a single tile, the whole slice.
        """
        adjoint = self._backprojection()
        if self.device.is_gpu:
            return [_whole_slice(adjoint, self.depth, self.columns, self.device)]
        block = self.slice_parts(self.columns)[0]
        side = tile_side(len(self.angles_rad), block.stop - block.start)
        pieces = product(slabs(self.depth, side), slabs(self.columns, side))
        return each_in_threads(lambda piece: _tile(adjoint, self.columns, *piece), pieces)

    @cached_property
    def row_weights(self) -> Float32:
        """Inverse sum of each matrix row, [tilt * u]; 0 for rays that miss the slice."""
        sums = np.zeros(len(self.angles_rad) * self.columns)
        for tile in self.tiles:
            sums[tile.rays] += _row_sums(tile.forward, self.device)
        return _inverse(sums)

    @cached_property
    def column_weights(self) -> Float32:
        """Inverse sum of each matrix column, [z, x]."""
        sums = np.zeros((self.depth, self.columns))
        for tile in self.tiles:
            piece = sums[tile.rows, tile.columns]
            piece[:] = _row_sums(tile.backward, self.device).reshape(piece.shape)
        return _inverse(sums)

    def forward(self, volume: Float32) -> Float32:
        """Project a volume [z, y, x] to images [tilt, y, u]."""
        images = np.empty((len(self.angles_rad), volume.shape[1], self.columns), np.float32)
        tiles = self.tiles  # build them once, before the threads start

        def project(part: slice) -> None:
            rays = self.forward_block([tile.read_block(volume, part) for tile in tiles])
            shaped = rays.reshape(len(images), self.columns, -1).swapaxes(1, 2)
            images[:, part] = self.device.to_host(shaped)

        self._over_slices(project, volume.shape[1])
        return images

    def backward(self, images: Float32) -> Float32:
        """Back-project images [tilt, y, u] into a volume [z, y, x]: the adjoint of `forward`."""
        volume = np.empty((self.depth, images.shape[1], self.columns), np.float32)
        tiles = self.tiles  # build them once, before the threads start

        def back_project(part: slice) -> None:
            rays = self.image_block(images, part)
            for tile in tiles:
                tile.write_block(volume, part, tile.backward @ rays[tile.rays])

        self._over_slices(back_project, images.shape[1])
        return volume

    def slice_parts(self, slices: int) -> list[slice]:
        """Divide slices into blocks, one for each thread or as large as a GPU's memory holds."""
        voxels, rays = self.depth * self.columns, len(self.angles_rad) * self.columns
        return self.device.blocks(slices, BLOCK_COPIES * 4 * (voxels + rays))

    def _over_slices(self, work: Callable[[slice], None], slices: int) -> None:
        for _ in self.device.map(work, self.slice_parts(slices)):
            pass

    def forward_block(self, blocks: Sequence[Array]) -> Array:
        """Project blocks [z * x, slice], one for each tile, to an image block [tilt * u, slice]."""
        shape = (len(self.angles_rad) * self.columns, blocks[0].shape[1])
        rays = self.device.xp.zeros(shape, dtype=np.float32)
        for tile, block in zip(self.tiles, blocks, strict=True):
            rays[tile.rays] += tile.forward @ block
        return rays

    def image_block(self, images: Float32, part: slice) -> Array:
        """Return rows `part` of images [tilt, y, u] as an image block [tilt * u, slice]."""
        return _to_block(images, part, self.device)

    def _backprojection(self) -> sparse.csr_matrix:
        """Build the adjoint matrix. Called on first use only: a GPU needs no matrix."""
        tilts = each_in_threads(
            lambda angle: tilt_entries(angle, self.columns, self.depth), self.angles_rad
        )
        return backprojection_matrix(tilts, self.columns, self.depth)


def tile_side(tilts: int, slices: int) -> int:
    """Return the side of a tile (px) for blocks of this many slices, from the size of the cache.

    In the iterations a tile of side s holds three blocks of s^2 voxels and two of its rays, which
    are at most sqrt(2) s in an image. Narrow blocks get large tiles, and so fewer calls: many
    threads would wait for Python's interpreter lock between them.
    """
    entries = TILE_CACHES * cache_bytes() / (4 * slices)
    rays = 2 * np.sqrt(2) * tilts
    side = (np.sqrt(rays**2 + 12 * entries) - rays) / 6
    return max(SMALLEST_TILE, int(side))


class Projectors:
    """Projectors of one series, each made once: its system matrix takes longer than its use.

    They are freed together with this object.
    """

    def __init__(self, device: Device = CPU) -> None:
        self.device = device
        self._made: dict[tuple[bytes, int], Projector] = {}

    def of(self, angles_rad: ArrayLike, columns: int) -> Projector:
        """Return the projector for these tilt angles [tilt] and this width of image (px)."""
        angles = np.asarray(angles_rad, np.float64)
        key = (angles.tobytes(), columns)
        if key not in self._made:
            self._made[key] = Projector(angles, columns, device=self.device)
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


def _whole_slice(adjoint: sparse.csr_matrix, depth: int, columns: int, device: Device) -> Tile:
    """Return the whole slice as a single tile, with its matrices on the device."""
    backward = device.csr(adjoint)
    forward = backward.T.tocsr()
    forward.has_canonical_format = True
    return Tile(slice(0, depth), slice(0, columns), slice(None), forward, backward, device)


def _to_block(stack: Float32, part: slice, device: Device) -> Array:
    moved = device.to_device(stack[:, part], np.float32).swapaxes(1, 2)
    return device.xp.ascontiguousarray(moved).reshape(-1, moved.shape[2])


def _row_sums(matrix: sparse.csr_matrix, device: Device) -> Float32:
    return np.asarray(device.to_host(matrix.sum(axis=1))).ravel()


def _inverse(sums: NDArray[np.floating]) -> Float32:
    # without the floor, a ray that only touches a corner would be amplified without limit
    floor = 1e-3 * sums.max()
    return np.where(sums > floor, 1 / np.maximum(sums, floor), 0).astype(np.float32)
