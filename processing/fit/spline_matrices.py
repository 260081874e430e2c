"""Splines of the spheres on a GPU: sparse matrices that spread spheres and read images at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from processing.device import Array, Device
from processing.splines import TAPS

KEPT_BYTES = 332
"""Memory of one sphere in one view, where all matrices are kept."""


def are_kept(views: int, spheres: int, device: Device) -> bool:
    """Return true if the matrices of all views of a fit are kept for later products."""
    return views * spheres * KEPT_BYTES <= device.free_bytes()


@dataclass(frozen=True, eq=False)
class SplineMatrices:
    """Splines of some views (`processing.fit.placed_splines`).

    The matrices are [view and sphere; view, slot and pixel].
    There is one row for each sphere in each view. A matrix is made when it is used; many views need
    the values alone.

    Attributes
    ----------
    device
        Device of the matrices.
    shape
        Shape of all matrices.
    corners
        Index of the first pixel under each spline, [view, sphere].
    offsets
        Indices of all pixels under a spline, from the first.
    values, slopes
        Splines and their derivatives along each axis, [view, sphere, (y, u), tap].
    keeps
        Keep each matrix for later products.
    """

    device: Device
    shape: tuple[int, ...]
    corners: Array
    offsets: Array
    values: Array
    slopes: Array
    keeps: bool
    _kept: dict[str, Array] = field(default_factory=dict)

    def select(self, chosen: slice) -> SplineMatrices:
        """Return the matrices of some of the views."""
        xp, views = self.device.xp, len(self.values)
        taken = xp.arange(views, dtype=np.int32)[chosen]
        moved = (taken - xp.arange(len(taken), dtype=np.int32)) * np.int32(self.shape[1] // views)
        shape = tuple(side // views * len(taken) for side in self.shape)
        corners = self.corners[chosen] - moved[:, None]
        parts = self.values[chosen], self.slopes[chosen]
        return SplineMatrices(self.device, shape, corners, self.offsets, *parts, self.keeps)

    def spread(self, weights: Array) -> Array:
        """Return the layer images of spheres with these weights."""
        return self.value_transposed @ weights

    def spread_changes(self, changes: Array) -> Array:
        """Return the change of the layer images by changes of the spheres."""
        moved = self.slope_y_transposed @ changes[1] + self.slope_u_transposed @ changes[2]
        return self.value_transposed @ changes[0] + moved

    def read(self, layers: Array) -> Array:
        """Return the value of the layer images at each sphere."""
        return self.value @ layers

    def read_slopes(self, layers: Array) -> Array:
        """Return value, and slopes along y and u, at each sphere."""
        matrices = self.value, self.slope_y, self.slope_u
        return self.device.xp.stack([each @ layers for each in matrices])

    @property
    def value(self) -> sparse.csr_matrix:
        """Values of the splines."""
        return self._once("value", lambda: self._matrix(self.values, self.values))

    @property
    def slope_y(self) -> sparse.csr_matrix:
        """Derivatives of the splines with respect to the position of the sphere along y."""
        return self._once("slope y", lambda: self._matrix(self.slopes, self.values))

    @property
    def slope_u(self) -> sparse.csr_matrix:
        """The same along u."""
        return self._once("slope u", lambda: self._matrix(self.values, self.slopes))

    @property
    def value_transposed(self) -> sparse.csc_matrix:
        """`value` as a matrix [view, slot and pixel; view and sphere]."""
        return self._once("value transposed", lambda: self.value.T)

    @property
    def slope_y_transposed(self) -> sparse.csc_matrix:
        """`slope_y` as a matrix [view, slot and pixel; view and sphere]."""
        return self._once("slope y transposed", lambda: self.slope_y.T)

    @property
    def slope_u_transposed(self) -> sparse.csc_matrix:
        """`slope_u` as a matrix [view, slot and pixel; view and sphere]."""
        return self._once("slope u transposed", lambda: self.slope_u.T)

    def _once(self, name: str, make: Callable[[], Array]) -> Array:
        """Return what is kept under a name, or make it."""
        if not self.keeps:
            return make()
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def _structure(self) -> tuple[Array, Array]:
        """Return the CSR structure that all matrices share: indices and pointers."""
        xp = self.device.xp
        indices = (self.corners[..., None] + self.offsets).ravel()
        return indices, xp.arange(0, indices.size + 1, TAPS**2, dtype=np.int32)

    def _matrix(self, along_y: Array, along_u: Array) -> sparse.csr_matrix:
        data = along_y[:, :, 0, :, None] * along_u[:, :, 1, None, :]
        parts = (data.ravel(), *self._once("structure", self._structure))
        matrix = self.device.sparse.csr_matrix(parts, shape=self.shape)
        matrix.has_canonical_format = True  # sorted, without duplicates: checking takes longer
        return matrix
