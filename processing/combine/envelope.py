"""Outline of an assembly: where its particles are dense, smoothed over the lattice.

A pose that is wrong by one lattice vector or one symmetry operation pairs nearly as many particles
as the right one, and even more if the exit side is poorly resolved. But it moves the outline, in
particular the flat side. A series that shows only every second particle of its exit side has the
same outline as one that shows all: otherwise, B turned the wrong way up would fit best, with the
entrance sides of both on one another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.series import Float64

BLUR_CELLS = 1.5
"""Standard deviation of the smoothing, in cells of one particle diameter."""
MARGIN_CELLS = 6
FILLED = 0.35
"""Density from which a place counts as filled, in densities of the densest tenth."""
OUTSIDE = 0.1
"""Largest density outside an assembly, in those of the densest place."""


class Envelope:
    """Outline of one assembly, with which others are compared.

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
        self._filled = self._filled_by(points_nm)

    def overlap(self, points_nm: Float64) -> float:
        """Return the fraction of the filled places that two assemblies have in common, 0..1."""
        other = self._filled_by(points_nm)
        both = np.minimum(self._filled, other).sum()
        return float(2 * both / (self._filled.sum() + other.sum()))

    def _filled_by(self, points_nm: Float64) -> NDArray[np.float64]:
        index = np.floor((points_nm - self._origin) / self._cell_nm).astype(int)
        inside = ((index >= 0) & (index < self._shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(index[inside].T), self._shape)
        counts = np.bincount(flat, minlength=int(np.prod(self._shape))).reshape(self._shape)
        density = ndimage.gaussian_filter(counts.astype(float), BLUR_CELLS, mode="constant")
        dense = float(np.quantile(density[density >= OUTSIDE * density.max()], 0.9))
        return np.asarray(np.clip(density / max(FILLED * dense, 1e-30), 0.0, 1.0), np.float64)
