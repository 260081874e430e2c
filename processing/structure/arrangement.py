"""Structure of a set of places, without errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Float64
from processing.structure.assembly import Ints
from processing.structure.bond_order import BondOrder, bond_order
from processing.structure.classify import SURFACE, classify, structure_shares
from processing.structure.envelope import Envelope, find_envelope
from processing.structure.grains import Grains, find_grains
from processing.structure.match_shells import match_shells
from processing.structure.neighbours import Neighbours, number_layers
from processing.structure.pair_correlation import Correlations, correlations
from processing.structure.stacking import Plane, find_planes


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Structure of n places.

    Attributes
    ----------
    members
        [n], number of each place among those of the assembly; a repeat lacks some.
    centres_nm
        [n, 3].
    structure
        [n], number of the local structure, in `CODES`.
    misfit
        [n], root mean square distance of the neighbours from the best shell, in shell radii.
    layer
        [n], number of steps from the surface, plus 1.
    """

    members: Ints
    centres_nm: Float64
    neighbours: Neighbours
    order: BondOrder
    structure: Ints
    misfit: Float64
    layer: Ints
    envelope: Envelope
    grains: Grains
    planes: list[Plane]
    correlations: Correlations

    @property
    def shares(self) -> Float64:
        """Share of each structure among the particles with a closed shell, in the order of its
        number.
        """
        return np.array(list(structure_shares(self.structure).values()))


def find_arrangement(
    members: Ints, centres_nm: Float64, neighbours: Neighbours, radii_nm: Float64
) -> Arrangement:
    """Find the structure of places [n, 3] with known neighbours; g at `radii_nm`."""
    fits = match_shells(centres_nm)
    structure = np.where(neighbours.at_surface, SURFACE, classify(fits))
    envelope = find_envelope(centres_nm, neighbours.spacing_nm, neighbours.cell_nm3)
    shells = (centres_nm, neighbours.pairs, structure, fits.rotation, neighbours.spacing_nm)
    return Arrangement(
        members,
        centres_nm,
        neighbours,
        bond_order(centres_nm, neighbours),
        structure,
        np.sqrt(fits.misfit),
        number_layers(neighbours),
        envelope,
        find_grains(*shells),
        find_planes(*shells),
        correlations(centres_nm, radii_nm, envelope),
    )
