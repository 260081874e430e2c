"""Local structure of each particle from the shell that fits its neighbours best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.series import Bools, Float64
from processing.structure.match_shells import ShellFits
from processing.structure.shells import shells
from processing.structure_results import StructureType

CODES = (
    StructureType.DISORDERED,
    StructureType.FCC,
    StructureType.HCP,
    StructureType.BCC,
    StructureType.ICOSAHEDRAL,
    StructureType.SURFACE,
    StructureType.LEFT_OUT,
)
"""Structures by their number in tables; 0 to 4 as OVITO numbers them."""
DISORDERED, FCC, HCP, BCC, ICOSAHEDRAL, SURFACE, LEFT_OUT = range(len(CODES))
LARGEST_MISFIT = 0.025
"""Largest misfit of a shell that is recognised, in squared shell radii. In disordered packings one
shell in a hundred fits so well."""
MOST_UNMATCHED = 3
"""Largest number of vertices without a neighbour in a shell that is recognised."""
OVERLAP = 0.8
"""Distance of two overlapping particles, in spacings."""
FEWEST_OVERLAPS = 3
"""Overlaps of a particle that cannot be there. A false particle in a hole of a packing has four or
more, each particle around it only one."""


def overlapping(centres_nm: Float64, spacing_nm: float) -> Bools:
    """Return which particles [n] overlap too many others, so they cannot be there."""
    distance = cKDTree(centres_nm).query(centres_nm, FEWEST_OVERLAPS + 1)[0]
    return np.asarray(distance[:, FEWEST_OVERLAPS] < OVERLAP * spacing_nm)


def classify(fits: ShellFits) -> NDArray[np.int64]:
    """Return the number of the structure, in `CODES`, of each particle by its best shell."""
    known = shells()
    codes = np.array([CODES.index(shell.structure) for shell in known])
    vertices = np.array([len(shell.vertices) for shell in known])
    fits_well = (fits.misfit < LARGEST_MISFIT) & (
        fits.matched >= vertices[fits.shell] - MOST_UNMATCHED
    )
    return np.where(fits_well, codes[fits.shell], DISORDERED)


def structure_shares(structure: NDArray[np.int64]) -> dict[int, float]:
    """Return the share of each structure, by its number, among the particles with closed shells."""
    closed = structure[structure != SURFACE]
    number = np.bincount(closed, minlength=len(CODES)) / max(len(closed), 1)
    return {code: float(number[code]) for code in range(SURFACE)}
