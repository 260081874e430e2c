"""Filtered back-projection that takes one tilt at a time, and can remove or replace any tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from processing.parallel import each_in_threads, slabs
from processing.reconstruct.fbp import angular_weights, ramp_filtered
from processing.reconstruct.projector import Projector
from processing.series import Float32

VOXELS_PER_PIECE = 8192
"""Rows of the system matrix that are applied together, so that their result stays in the cache."""
SAME_ARC_RAD = 1e-9
"""Change of an arc below which the volume is not updated."""


@dataclass(frozen=True, eq=False)
class _Contribution:
    """Contribution of one tilt to the volume: filtered rays [u, y], weighted by the tilt's arc."""

    angle_deg: float
    rays: Float32
    arc_rad: float


class IncrementalVolume:
    """Volume [z, y, x], as deep as wide, from aligned images [y, x].

    Each tilt is weighted by its arc among the tilts present. When a tilt is replaced, or its
    neighbours' arcs change, only the difference is back-projected.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        # [z * x, y]: in this layout the system matrix of a tilt applies to all slices at once
        self._block = np.empty((columns**2, rows), np.float32)
        self._contributions: dict[int, _Contribution] = {}
        self.clear()

    @property
    def tilts(self) -> int:
        """Number of images in the volume."""
        return len(self._contributions)

    @property
    def volume(self) -> Float32:
        """The volume [z, y, x], as a view."""
        block = self._block.reshape(self._columns, self._columns, self._rows)
        return np.asarray(block.swapaxes(1, 2), np.float32)

    def clear(self) -> None:
        """Remove all tilts; keep the memory."""
        self._contributions.clear()
        self._block.fill(0.0)

    def put(self, tilt: int, image: Float32, angle_deg: float) -> None:
        """Add an aligned image [y, x]; it replaces an earlier image of the same tilt."""
        rays = np.ascontiguousarray(ramp_filtered(image).T)
        before = self._contributions.get(tilt)
        if before is not None and before.angle_deg == angle_deg:
            self._back_project(angle_deg, before.arc_rad * (rays - before.rays))
            self._contributions[tilt] = _Contribution(angle_deg, rays, before.arc_rad)
        else:
            self._subtract(tilt)
            self._contributions[tilt] = _Contribution(angle_deg, rays, 0.0)
        self._update_arcs()

    def remove(self, tilt: int) -> None:
        """Remove a tilt; its neighbours share its arc."""
        self._subtract(tilt)
        self._update_arcs()

    def project(self, angle_deg: float) -> Float32:
        """Project the volume to an image [y, x]."""
        matrix = Projector(np.deg2rad([angle_deg]), self._columns).matrix
        return np.asarray((matrix @ self._block).T, np.float32)

    def _subtract(self, tilt: int) -> None:
        old = self._contributions.pop(tilt, None)
        if old is not None:
            self._back_project(old.angle_deg, -old.arc_rad * old.rays)

    def _update_arcs(self) -> None:
        if not self._contributions:
            return
        angles = np.deg2rad([each.angle_deg for each in self._contributions.values()])
        for (tilt, old), arc in zip(
            list(self._contributions.items()), angular_weights(angles), strict=True
        ):
            if abs(arc - old.arc_rad) > SAME_ARC_RAD:
                self._back_project(old.angle_deg, (arc - old.arc_rad) * old.rays)
                self._contributions[tilt] = _Contribution(old.angle_deg, old.rays, float(arc))

    def _back_project(self, angle_deg: float, rays: Float32) -> None:
        adjoint = Projector(np.deg2rad([angle_deg]), self._columns).adjoint_matrix
        weighted = rays.astype(np.float32, copy=False)

        def add(piece: slice) -> None:
            self._block[piece] += _rows_of(adjoint, piece) @ weighted

        each_in_threads(add, slabs(len(self._block), VOXELS_PER_PIECE))


def _rows_of(matrix: sparse.csr_matrix, piece: slice) -> sparse.csr_matrix:
    """Return some rows of a matrix without copying its entries."""
    starts = matrix.indptr[piece.start : piece.stop + 1]
    entries = slice(starts[0], starts[-1])
    shape = (len(starts) - 1, matrix.shape[1])
    return sparse.csr_matrix(
        (matrix.data[entries], matrix.indices[entries], starts - starts[0]), shape, copy=False
    )
