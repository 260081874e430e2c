"""Errors of the positions, from which those of the structure follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Bools, Float64
from processing.structure.grains import Grains

ASSUMED = 0.02
"""Error of a coordinate where nothing tells it, in distances of neighbours."""


@dataclass(frozen=True)
class PositionError:
    """Standard deviation of one coordinate (nm), and its source.

    Attributes
    ----------
    of_each_nm
        Those of each particle, [n, 3]; None if they are not known.
    """

    nm: float
    source: str
    of_each_nm: Float64 | None = None

    def select(self, chosen: Bools) -> Float64 | float:
        """Return the errors of some of the particles, or that of all."""
        return self.nm if self.of_each_nm is None else self.of_each_nm[chosen]


def errors_of_the_fit(errors_nm: Float64) -> PositionError:
    """Return the standard errors [n, 3] that a fit gave the particles."""
    nm = float(np.sqrt(np.mean(errors_nm**2)))
    return PositionError(nm, "standard errors of the fit", errors_nm)


def find_position_error(grains: Grains, spacing_nm: float) -> PositionError:
    """Return the scatter of the particles about the lattices of their grains, else a guess."""
    if not grains.fits:
        return PositionError(
            ASSUMED * spacing_nm, f"assumed: {ASSUMED:.0%} of the distance of neighbours"
        )
    sizes = np.bincount(grains.number)[1:]
    squares = [fit.scatter_nm**2 for fit in grains.fits]
    scatter_nm = float(np.sqrt(np.average(squares, weights=sizes)))
    return PositionError(scatter_nm, "scatter about the lattice, disorder of the specimen included")
