"""Errors of the structure that come from the errors of the positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Bools, Float64
from processing.structure.classify import SURFACE, classify
from processing.structure.grains import Grains, Ints
from processing.structure.match_shells import match_shells
from processing.structure.neighbours import Neighbours

SAMPLE = 1200
"""Largest number of particles that are classified again."""
MISSED = 0.01
"""Share of the particles that are removed before; about as many are missed by a reconstruction."""
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


def share_errors(
    centres_nm: Float64, neighbours: Neighbours, structure: Ints, error_nm: Float64 | float
) -> dict[int, float]:
    """Return the error of the share of each structure, by its number.

    The positions are disturbed by their errors once more, some particles are removed, and a part of
    the others is classified again. The mean change of a share is the bias that such errors cause;
    particles that change their class at random add a statistical error. It is one particle of those
    classified again or more.

    Parameters
    ----------
    error_nm
        Errors of each particle, [n, 3], or of all.
    """
    rng = np.random.default_rng(0)
    kept = np.flatnonzero(rng.random(len(centres_nm)) >= MISSED)
    closed = np.flatnonzero(~neighbours.at_surface[kept])
    if len(closed) == 0:
        return dict.fromkeys(range(SURFACE), 0.0)
    disturbed = centres_nm[kept] + rng.normal(0.0, 1.0, (len(kept), 3)) * (
        error_nm if isinstance(error_nm, float) else error_nm[kept]
    )
    sample = rng.permutation(closed)[:SAMPLE]
    before, after = structure[kept[sample]], classify(match_shells(disturbed, sample))
    errors = {}
    for code in range(SURFACE):
        change = (after == code).astype(float) - (before == code)
        bias, random = change.mean(), change.std() / np.sqrt(len(closed))
        errors[code] = max(float(np.hypot(bias, random)), 1 / len(sample))
    return errors
