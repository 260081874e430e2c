"""Particles of one assembly: those that an analysis of its structure uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.errors import NoStructureError
from processing.series import Bools, Float64
from processing.structure.classify import overlapping
from processing.structure.neighbours import Neighbours, find_neighbours, first_shell

FEWEST_PARTICLES = 13
"""Smallest assembly: a particle and its twelve neighbours."""
SAME_PLACE = 0.05
"""Largest distance of two entries for one particle, in median distances of neighbours."""
FARTHEST = 1e4
"""Largest distance from the middle of the assembly, in distances of neighbours."""
FLAT = 0.3
"""Largest thickness of a single layer (standard deviation), in distances of neighbours."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Assembly:
    """Particles to analyse, and their neighbours.

    Attributes
    ----------
    kept
        True for those of all particles given that are analysed, [n].
    centres_nm
        Centres of these, [m, 3].
    """

    kept: Bools
    centres_nm: Float64
    neighbours: Neighbours


def find_assembly(centres_nm: Float64, excluded: Bools | None = None) -> Assembly:
    """Find the neighbours of particles at `centres_nm` [n, 3]; leave out those that overlap others.

    Parameters
    ----------
    excluded
        True for particles of other objects, [n].

    Raises
    ------
    NoStructureError
        There are too few particles, two at the same place, or all lie in one plane.
    """
    kept = np.ones(len(centres_nm), bool) if excluded is None else ~excluded
    _require_structure(centres_nm, kept)
    spacing_nm, shell_end_nm = first_shell(centres_nm[kept])
    kept[kept] = ~overlapping(centres_nm[kept], spacing_nm)
    _require_structure(centres_nm, kept)
    own_nm = centres_nm[kept]
    return Assembly(kept, own_nm, find_neighbours(own_nm, spacing_nm, shell_end_nm))


def _require_structure(centres_nm: Float64, kept: Bools) -> None:
    """Check that particles have a structure.

    Raises
    ------
    NoStructureError
        There are too few, two at the same place, one far away, or all lie in one plane.
    """
    own_nm, numbers = centres_nm[kept], np.flatnonzero(kept) + 1
    if len(own_nm) < FEWEST_PARTICLES:
        raise NoStructureError(
            f"{len(own_nm)} particles; the structure needs {FEWEST_PARTICLES} or more: a particle "
            "and its twelve neighbours"
        )
    distance, index = cKDTree(own_nm).query(own_nm, 2)
    nearest = distance[:, 1]
    usual = float(np.median(nearest))
    first = int(nearest.argmin())
    if nearest[first] <= SAME_PLACE * usual:
        other = next(int(one) for one in index[first] if one != first)
        pair = sorted((int(numbers[first]), int(numbers[other])))
        raise NoStructureError(
            f"particles {pair[0]} and {pair[1]} are at the same place ({nearest[first]:.3g} nm "
            "apart); remove one of each such pair"
        )
    _require_one_assembly(own_nm, numbers, usual)
    thickness = np.linalg.svd(own_nm - own_nm.mean(axis=0), compute_uv=False)[-1]
    if thickness / np.sqrt(len(own_nm)) < FLAT * usual:
        raise NoStructureError("all particles lie in one plane; the analysis is of bodies")


def _require_one_assembly(own_nm: Float64, numbers: Ints, usual_nm: float) -> None:
    """Refuse a particle so far away that single precision would merge the others."""
    distance = np.linalg.norm(own_nm - np.median(own_nm, axis=0), axis=1)
    farthest = int(distance.argmax())
    if distance[farthest] > FARTHEST * usual_nm:
        raise NoStructureError(
            f"particle {numbers[farthest]} is {distance[farthest]:.3g} nm away from the others, "
            f"which are {usual_nm:.3g} nm apart; correct or remove it"
        )
