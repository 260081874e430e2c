"""Structure of an assembly, from the places of its particles alone."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from processing.series import Bools, Float64
from processing.structure import grains as grain_search
from processing.structure import layers as layer_search
from processing.structure.assembly import Ints, find_assembly
from processing.structure.bond_order import BondOrder, bond_order
from processing.structure.boundaries import find_boundaries
from processing.structure.classify import CODES, LEFT_OUT, SURFACE, classify, structure_shares
from processing.structure.envelope import Envelope, find_envelope
from processing.structure.errors import PositionError, find_position_error, share_errors
from processing.structure.grains import Grains, find_grains
from processing.structure.match_shells import match_shells
from processing.structure.neighbours import Neighbours
from processing.structure.pair_correlation import correlations
from processing.structure.stacking import find_planes
from processing.structure_results import (
    Grain,
    Measured,
    PairCorrelation,
    Structure,
    StructureFactor,
    StructureType,
)

FEWEST_IN_INTERIOR = 10
"""Fewest particles in the interior whose means have an error."""


@dataclass(frozen=True, eq=False)
class ParticleStructure:
    """Structure of each particle, all [n]. Particles that were left out have NaN or 0.

    Attributes
    ----------
    structure
        Number of the local structure, in `CODES`.
    grain
        Number of the grain, from 1; 0 in no grain.
    layer
        Number of steps from the surface, plus 1.
    depth_nm
        Distance from the surface of the assembly's body.
    coordination
        Number of neighbours: shared Voronoi face, in the first shell.
    neighbour_distance_nm
        Mean distance of these neighbours.
    misfit
        Root mean square distance of the neighbours from the best shell, in shell radii.
    """

    structure: Ints
    grain: Ints
    layer: Ints
    depth_nm: Float64
    coordination: Ints
    neighbour_distance_nm: Float64
    q4: Float64
    q6: Float64
    mean_q4: Float64
    mean_q6: Float64
    mean_w4: Float64
    mean_w6: Float64
    misfit: Float64


@dataclass(frozen=True, eq=False)
class StructureAnalysis:
    """Result of the analysis: summary, a table by particle, g(r) and S(q)."""

    summary: Structure
    particles: ParticleStructure
    pair_correlation: PairCorrelation
    structure_factor: StructureFactor


def analyse_structure(
    centres_nm: Float64,
    diameter_nm: Float64 | None = None,
    *,
    source: str = "",
    excluded: Bools | None = None,
    position_error: PositionError | None = None,
    notes: tuple[str, ...] = (),
) -> StructureAnalysis:
    """Analyse the structure of particles at `centres_nm` [n, 3].

    Parameters
    ----------
    diameter_nm
        Diameters [n], for the packing fraction.
    source
        Name of the particles' source.
    excluded
        True for particles of other objects, [n].
    position_error
        Error of one coordinate; None takes the scatter about the lattice instead.

    Raises
    ------
    NoStructureError
        There are too few particles, two at the same place, or all lie in one plane.
    """
    assembly = find_assembly(centres_nm, excluded)
    kept, own_nm, neighbours = assembly.kept, assembly.centres_nm, assembly.neighbours
    order = bond_order(own_nm, neighbours)
    fits = match_shells(own_nm)
    envelope = find_envelope(own_nm, neighbours.spacing_nm, neighbours.cell_nm3)
    structure = np.where(neighbours.at_surface, SURFACE, classify(fits))
    shells = (own_nm, neighbours.pairs, structure, fits.rotation, neighbours.spacing_nm)
    grains = find_grains(*shells)
    layer = layer_search.number_layers(neighbours)
    error = position_error or find_position_error(grains, neighbours.spacing_nm)
    g, s = correlations(own_nm, neighbours.spacing_nm, envelope)
    own_diameter = None if diameter_nm is None else diameter_nm[kept]
    interior = neighbours.interior
    distances_nm = neighbours.distance_nm[interior[neighbours.pairs[:, 0]]]
    described = grain_search.described(grains, own_nm, error.nm)
    summary = Structure(
        source=source,
        particles=len(own_nm),
        left_out=int((~kept).sum()),
        surface=int(neighbours.at_surface.sum()),
        shares=_shares(structure, share_errors(own_nm, neighbours, structure, error.select(kept))),
        neighbour_distance_nm=layer_search.mean_distance(distances_nm, int(interior.sum())),
        neighbour_spread_nm=float(distances_nm.std()) if len(distances_nm) else 0.0,
        coordination=_mean(neighbours.number[interior]),
        packing_fraction=_packing(neighbours, own_diameter),
        bond_order=_bond_order_means(order, interior),
        lattice_constant_nm=_lattice_constant(described),
        grains=described,
        boundaries=find_boundaries(grains, neighbours.pairs, structure),
        planes=find_planes(*shells),
        layers=layer_search.described(neighbours, layer, envelope.depth_nm),
        position_error_nm=error.nm,
        position_error_source=error.source,
        notes=[*notes, *_few_in_interior(int(interior.sum()))],
    )
    table = _table(structure, grains, layer, envelope, neighbours, order, np.sqrt(fits.misfit))
    return StructureAnalysis(summary, _spread(table, kept), g, s)


def _few_in_interior(number: int) -> list[str]:
    """Return a warning in one line where the means of the interior are those of few particles."""
    if number >= FEWEST_IN_INTERIOR:
        return []
    particles = "1 particle lies" if number == 1 else f"{number} particles lie"
    return [
        f"only {particles} in the interior, without a neighbour at the surface: distances, "
        "coordination and packing there are no mean of the assembly, and their errors do not hold"
    ]


def _shares(structure: Ints, errors: dict[int, float]) -> dict[StructureType, Measured]:
    number = structure_shares(structure)
    return {
        CODES[code]: Measured(value=share, error=errors[code]) for code, share in number.items()
    }


def _packing(neighbours: Neighbours, diameter_nm: Float64 | None) -> Measured | None:
    if diameter_nm is None or neighbours.at_surface.all():
        return None
    spheres = np.pi / 6 * diameter_nm[neighbours.interior] ** 3
    cells = neighbours.volume_nm3[neighbours.interior]
    share = spheres.sum() / cells.sum()
    # cells share their faces: the sum over many varies less than that of independent ones
    error = np.std(spheres - share * cells) / cells.mean() / np.sqrt(len(cells))
    return Measured(value=float(share), error=float(error))


def _bond_order_means(order: BondOrder, interior: Bools) -> dict[str, Measured]:
    return {one.name: _mean(getattr(order, one.name)[interior]) for one in fields(order)}


def _mean(values: Float64 | Ints) -> Measured:
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return Measured(value=0.0, error=0.0)
    return Measured(value=float(known.mean()), error=float(known.std() / np.sqrt(len(known))))


def _lattice_constant(grains: list[Grain]) -> Measured | None:
    """Return the mean lattice constant of the fcc grains, each with its number of particles."""
    fcc = [grain for grain in grains if grain.structure is StructureType.FCC]
    if not fcc:
        return None
    weight = np.array([grain.particles for grain in fcc]) / sum(grain.particles for grain in fcc)
    value = float(sum(weight * [grain.lattice_constant_nm.value for grain in fcc]))
    errors = weight * [grain.lattice_constant_nm.error for grain in fcc]
    return Measured(value=value, error=float(np.sqrt((errors**2).sum())))


def _table(
    structure: Ints,
    grains: Grains,
    layer: Ints,
    envelope: Envelope,
    neighbours: Neighbours,
    order: BondOrder,
    misfit: Float64,
) -> ParticleStructure:
    here = neighbours.pairs[:, 0]
    number = neighbours.number
    total = np.bincount(here, neighbours.distance_nm, len(number))
    distance = np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0)
    bonds = {one.name: getattr(order, one.name) for one in fields(order)}
    return ParticleStructure(
        structure,
        grains.number,
        layer,
        envelope.depth_nm,
        number,
        distance,
        misfit=misfit,
        **bonds,
    )


def _spread(own: ParticleStructure, kept: Bools) -> ParticleStructure:
    """Return a table of all particles from that of the analysed ones."""

    def whole(column: str) -> Any:
        values = getattr(own, column)
        missing = 0 if values.dtype.kind == "i" else np.nan
        result = np.full(len(kept), LEFT_OUT if column == "structure" else missing, values.dtype)
        result[kept] = values
        return result

    return ParticleStructure(**{one.name: whole(one.name) for one in fields(own)})
