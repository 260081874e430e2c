"""Errors of the structure that come from the errors of the positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Float64
from processing.structure.classify import SURFACE, classify
from processing.structure.grains import Grains, Ints
from processing.structure.match_shells import match_shells
from processing.structure.neighbours import Neighbours

SAMPLE = 1500
"""Largest number of particles that are classified again."""
LATTICE = "scatter about the lattice, disorder of the specimen included"


@dataclass(frozen=True)
class PositionError:
    """Standard deviation of one coordinate (nm), None if unknown, and its source."""

    nm: float | None
    source: str


def find_position_error(grains: Grains) -> PositionError:
    """Return the scatter of the particles about the lattices of their grains."""
    sizes = np.bincount(grains.number)[1:]
    if not grains.fits:
        return PositionError(None, "unknown")
    squares = [fit.scatter_nm**2 for fit in grains.fits]
    return PositionError(float(np.sqrt(np.average(squares, weights=sizes))), LATTICE)


def share_errors(
    centres_nm: Float64, neighbours: Neighbours, structure: Ints, error_nm: float | None
) -> dict[int, float]:
    """Return the error of the share of each structure, by its number.

    The positions are disturbed by their errors once more, and a part of the particles is classified
    again. The mean change of a share is the bias that such errors cause; particles that change
    their class at random add a statistical error.
    """
    closed = np.flatnonzero(~neighbours.at_surface)
    if error_nm is None or len(closed) == 0:
        return dict.fromkeys(range(SURFACE), 0.0)
    rng = np.random.default_rng(0)
    sample = rng.permutation(closed)[:SAMPLE]
    disturbed = centres_nm + rng.normal(0.0, error_nm, centres_nm.shape)
    before, after = structure[sample], classify(match_shells(disturbed, sample))
    errors = {}
    for code in range(SURFACE):
        change = (after == code).astype(float) - (before == code)
        errors[code] = float(np.hypot(change.mean(), change.std() / np.sqrt(len(closed))))
    return errors
