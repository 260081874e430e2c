"""Outline of an assembly: its particle density, smoothed until the lattice is no longer resolved.

A pose that is wrong by one lattice vector or one symmetry operation pairs nearly as many particles
as the right one, and even more if the exit side is poorly resolved. But it moves the outline, in
particular the flat side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.series import Float64

BLUR_CELLS = 1.5
"""Standard deviation of the smoothing, in cells of one particle diameter."""
MARGIN_CELLS = 6


class Envelope:
    """Smoothed particle density of one assembly, with which others are compared.

    Parameters
    ----------
    points_nm
        Particle centres [n, 3].
    """

    def __init__(self, points_nm: Float64, diameter_nm: float) -> None:
        self._cell_nm = diameter_nm
        self._origin = points_nm.min(axis=0) - MARGIN_CELLS * diameter_nm
        extent = np.ptp(points_nm, axis=0) / diameter_nm
        self._shape = tuple(int(cells) for cells in np.ceil(extent) + 2 * MARGIN_CELLS)
        self._density = self._smoothed(points_nm)

    def overlap(self, points_nm: Float64) -> float:
        """Return the fraction of the density that two assemblies have in common, 0..1."""
        return float(np.minimum(self._density, self._smoothed(points_nm)).sum())

    def _smoothed(self, points_nm: Float64) -> NDArray[np.float64]:
        index = np.floor((points_nm - self._origin) / self._cell_nm).astype(int)
        inside = ((index >= 0) & (index < self._shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), self._shape)
        counts = np.bincount(flat, minlength=int(np.prod(self._shape))).reshape(self._shape)
        smoothed = ndimage.gaussian_filter(counts / len(points_nm), BLUR_CELLS, mode="constant")
        return np.asarray(smoothed, np.float64)
