"""Structure of an assembly in one line, without the rest of its analysis."""

from __future__ import annotations

import numpy as np

from processing.series import Float64
from processing.structure.assembly import find_assembly
from processing.structure.classify import CODES, SURFACE, classify, structure_shares
from processing.structure.grains import find_grains
from processing.structure.match_shells import match_shells
from processing.structure_results import headline


def structure_headline(centres_nm: Float64) -> str:
    """Return the headline of `analyse_structure` for particles at `centres_nm` [n, 3].

    It takes less than half the time: shells are fitted only where they are closed, and bond orders,
    correlations and errors are left out.

    Raises
    ------
    NoStructureError
        There are too few particles, two at the same place, or all lie in one plane.
    """
    assembly = find_assembly(centres_nm)
    own_nm, neighbours = assembly.centres_nm, assembly.neighbours
    closed = np.flatnonzero(~neighbours.at_surface)
    fits = match_shells(own_nm, closed)
    structure = np.full(len(own_nm), SURFACE, np.int64)
    structure[closed] = classify(fits)
    rotation = np.tile(np.eye(3), (len(own_nm), 1, 1))
    rotation[closed] = fits.rotation
    grains = find_grains(own_nm, neighbours.pairs, structure, rotation, neighbours.spacing_nm)
    shares = {CODES[code]: share for code, share in structure_shares(structure).items()}
    return headline(shares, len(grains.fits))
