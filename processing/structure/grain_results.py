"""Grains and their boundaries as results, with errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from processing.structure.arrangement import Arrangement
from processing.structure.assembly import Ints
from processing.structure.boundaries import find_boundaries
from processing.structure.classify import BCC, CODES, FCC, HCP
from processing.structure.grains import shell_of
from processing.structure.orientations import misorientation, smallest_turn
from processing.structure.repeats import Repeats, root_mean_square
from processing.structure_results import Boundary, Grain, Measured, StructureType

LATTICE_CONSTANT = {FCC: float(np.sqrt(2)), BCC: float(2 / np.sqrt(3)), HCP: 1.0}
"""Edge of the cube, or a of hcp, divided by the distance of nearest neighbours."""


@dataclass(frozen=True)
class GrainResults:
    """Grains, the error of their number, and the boundaries between them."""

    grains: list[Grain]
    number_error: float
    boundaries: list[Boundary]

    def fcc_lattice_constant_nm(self) -> Measured | None:
        """Return the mean over the fcc grains, each with its number of particles."""
        fcc = [grain for grain in self.grains if grain.structure is StructureType.FCC]
        if not fcc:
            return None
        particles = np.array([grain.particles for grain in fcc])
        weight = particles / particles.sum()
        value = float(sum(weight * [grain.lattice_constant_nm.value for grain in fcc]))
        errors = weight * [grain.lattice_constant_nm.error for grain in fcc]
        return Measured(value=value, error=float(np.sqrt((errors**2).sum())))


def grain_results(repeats: Repeats, position_error_nm: float) -> GrainResults:
    """Return the grains; the errors of their lattices follow from that of a coordinate."""
    first = repeats.first
    grains = [
        _grain(at, repeats, members, position_error_nm)
        for at, members in enumerate(first.grains.members())
    ]
    return GrainResults(
        grains,
        repeats.change_of_number(lambda one: len(one.grains.fits)),
        find_boundaries(
            first.grains,
            first.neighbours.pairs,
            first.structure,
            [grain.orientation_error_deg for grain in grains],
        ),
    )


def _grain(at: int, repeats: Repeats, members: Ints, position_error_nm: float) -> Grain:
    first = repeats.first
    structure, fit = first.grains.structure[at], first.grains.fits[at]
    turn = Rotation.from_matrix(smallest_turn(fit.rotation, structure)).as_quat(scalar_first=True)
    middle = first.centres_nm[members].mean(axis=0)
    nearest = float(np.linalg.norm(shell_of(structure).vertices, axis=1).min())
    spacing_nm, error_nm = nearest * fit.bond_nm, nearest * fit.bond_error * position_error_nm
    edge = LATTICE_CONSTANT[structure]
    again = [
        (other, number)
        for other, number in repeats.found_again(members, lambda one: one.grains.members())
        if other.grains.structure[number] == structure
    ]
    sizes = np.array([_size(other, number) for other, number in again])
    turns_deg = np.array([_turn_deg(first, at, other, number) for other, number in again])
    own_turn_deg = float(np.rad2deg(fit.turn_error * position_error_nm))
    return Grain(
        id=at + 1,
        structure=CODES[structure],
        particles=len(members),
        particles_error=float(root_mean_square(sizes - len(members))),
        found_again=len(again) / len(repeats.others),
        centre_nm=(float(middle[0]), float(middle[1]), float(middle[2])),
        orientation=(float(turn[0]), float(turn[1]), float(turn[2]), float(turn[3])),
        # other particles may belong to a strained grain in a repeat, which turns it farther
        orientation_error_deg=max(own_turn_deg, float(root_mean_square(turns_deg))),
        spacing_nm=Measured(value=spacing_nm, error=error_nm),
        lattice_constant_nm=Measured(value=edge * spacing_nm, error=edge * error_nm),
    )


def _size(arrangement: Arrangement, grain: int) -> int:
    return int((arrangement.grains.number == grain + 1).sum())


def _turn_deg(first: Arrangement, at: int, other: Arrangement, number: int) -> float:
    own, again = first.grains.fits[at].rotation, other.grains.fits[number].rotation
    return float(misorientation(own[None], again[None], first.grains.structure[at])[0][0])
