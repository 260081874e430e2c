"""A filtered backprojection that grows tilt by tilt, and from which any tilt can be taken again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from processing.parallel import slabs, worker_threads
from processing.reconstruct.fbp import angular_weights, ramp_filtered
from processing.reconstruct.projector import Projector
from processing.series import Float32

VOXELS_A_PIECE = 8192
"""Rows of a system matrix that are worked together: what they give stays in the cache."""
SAME_ARC = 1e-9


@dataclass(frozen=True, eq=False)
class _Share:
    """What one tilt has put into the volume: filtered rays [u, y], times its arc in radians."""

    angle_deg: float
    rays: Float32
    arc_rad: float


class IncrementalVolume:
    """A volume [z, y, x] as high as wide, from aligned images [y, x].

    Every tilt counts with the arc it stands for among those that are there. Where a tilt is put in
    again, or the arc of its neighbours changes, only the difference is smeared.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        # [z * x, y]: the layout in which one tilt's system matrix applies to all slices at once
        self._block = np.zeros((columns**2, rows), np.float32)
        self._shares: dict[int, _Share] = {}

    @property
    def tilts(self) -> int:
        """Images in the volume."""
        return len(self._shares)

    @property
    def volume(self) -> Float32:
        """[z, y, x], a view."""
        block = self._block.reshape(self._columns, self._columns, self._rows)
        return np.asarray(block.swapaxes(1, 2), np.float32)

    def put(self, tilt: int, image: Float32, angle_deg: float) -> None:
        """Add an aligned image [y, x], in the place of the one this tilt had before."""
        rays = np.ascontiguousarray(ramp_filtered(image).T)
        before = self._shares.get(tilt)
        if before is not None and before.angle_deg == angle_deg:
            self._smear(angle_deg, before.arc_rad * (rays - before.rays))
            self._shares[tilt] = _Share(angle_deg, rays, before.arc_rad)
        else:
            self._take_out(tilt)
            self._shares[tilt] = _Share(angle_deg, rays, 0.0)
        self._share_arcs()

    def remove(self, tilt: int) -> None:
        """Take a tilt out again; its neighbours stand for its arc from then on."""
        self._take_out(tilt)
        self._share_arcs()

    def project(self, angle_deg: float) -> Float32:
        """Project the volume to an image [y, x]."""
        matrix = Projector(np.deg2rad([angle_deg]), self._columns).matrix
        return np.asarray((matrix @ self._block).T, np.float32)

    def _take_out(self, tilt: int) -> None:
        share = self._shares.pop(tilt, None)
        if share is not None:
            self._smear(share.angle_deg, -share.arc_rad * share.rays)

    def _share_arcs(self) -> None:
        if not self._shares:
            return
        angles = np.deg2rad([share.angle_deg for share in self._shares.values()])
        for (tilt, share), arc in zip(
            list(self._shares.items()), angular_weights(angles), strict=True
        ):
            if abs(arc - share.arc_rad) > SAME_ARC:
                self._smear(share.angle_deg, (arc - share.arc_rad) * share.rays)
                self._shares[tilt] = _Share(share.angle_deg, share.rays, float(arc))

    def _smear(self, angle_deg: float, rays: Float32) -> None:
        smear = Projector(np.deg2rad([angle_deg]), self._columns).adjoint_matrix
        weighted = rays.astype(np.float32, copy=False)

        def add(piece: slice) -> None:
            self._block[piece] += _rows_of(smear, piece) @ weighted

        with ThreadPoolExecutor(worker_threads()) as pool:
            for _ in pool.map(add, slabs(len(self._block), VOXELS_A_PIECE)):
                pass


def _rows_of(matrix: sparse.csr_matrix, piece: slice) -> sparse.csr_matrix:
    """Some rows of a matrix, its entries shared."""
    starts = matrix.indptr[piece.start : piece.stop + 1]
    entries = slice(starts[0], starts[-1])
    shape = (len(starts) - 1, matrix.shape[1])
    return sparse.csr_matrix(
        (matrix.data[entries], matrix.indices[entries], starts - starts[0]), shape, copy=False
    )
