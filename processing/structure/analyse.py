"""Structure of an assembly, from the places of its particles alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from processing.series import Bools, Float64
from processing.structure.arrangement import Arrangement, find_arrangement
from processing.structure.assembly import Ints, find_assembly
from processing.structure.bond_order import BondOrder
from processing.structure.classify import CODES, SURFACE
from processing.structure.errors import PositionError, find_position_error
from processing.structure.grain_results import grain_results
from processing.structure.layers import distance_results, layer_results
from processing.structure.pair_correlation import radii
from processing.structure.particle_structure import ParticleStructure, particle_structure
from processing.structure.plane_results import plane_number_errors, plane_results
from processing.structure.repeats import Repeats, repeat
from processing.structure_results import (
    Measured,
    PairCorrelation,
    Structure,
    StructureFactor,
    StructureType,
)

FEWEST_IN_INTERIOR = 10
"""Fewest particles in the interior whose means have an error."""
USUAL_DISTANCES_NM = (0.2, 1000.0)
"""Distances of neighbours, from those of atoms to those of the largest particles that transmit
electrons (nm)."""
DENSEST = 0.9
"""Packing fraction above which the diameters cannot be those of these particles: equal spheres fill
0.74 at most, and two sizes little more."""
WEAKEST = 0.01
"""Factor by which errors weaken S - 1 below which nothing of S is known."""


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
    kept, neighbours = assembly.kept, assembly.neighbours
    first = find_arrangement(
        np.arange(len(assembly.centres_nm)),
        assembly.centres_nm,
        neighbours,
        radii(assembly.centres_nm, neighbours.spacing_nm),
    )
    error = position_error or find_position_error(first.grains, neighbours.spacing_nm)
    repeats = repeat(first, error.select(kept))
    distance, spread = distance_results(repeats, lambda one: one.neighbours.interior)
    grains = grain_results(repeats, error.nm)
    own_diameter = None if diameter_nm is None else diameter_nm[kept]
    interior = int(neighbours.interior.sum())
    packing = _packing(repeats, own_diameter)
    too_large = (
        [] if packing is None or packing.value <= DENSEST else [_too_large(packing, distance)]
    )
    summary = Structure(
        source=source,
        particles=len(first.members),
        left_out=int((~kept).sum()),
        surface=int(neighbours.at_surface.sum()),
        surface_error=repeats.change_of_number(lambda one: int(one.neighbours.at_surface.sum())),
        shares=_shares(repeats),
        neighbour_distance_nm=distance,
        neighbour_spread_nm=spread.value,
        neighbour_spread_error_nm=spread.error,
        coordination=_interior_mean(repeats, lambda one: one.neighbours.number),
        packing_fraction=None if too_large else packing,
        bond_order=_bond_order_means(repeats),
        lattice_constant_nm=grains.fcc_lattice_constant_nm(),
        grains=grains.grains,
        grains_error=grains.number_error,
        boundaries=grains.boundaries,
        planes=plane_results(repeats),
        planes_error=plane_number_errors(repeats),
        layers=layer_results(repeats),
        position_error_nm=error.nm,
        position_error_source=error.source,
        notes=[*notes, *_few_in_interior(interior), *_unusual(distance), *too_large],
    )
    return StructureAnalysis(
        summary, particle_structure(repeats, kept), *_correlations(repeats, error.nm)
    )


def _few_in_interior(number: int) -> list[str]:
    """Return a warning in one line where the means of the interior are those of few particles."""
    if number >= FEWEST_IN_INTERIOR:
        return []
    particles = "1 particle lies" if number == 1 else f"{number} particles lie"
    return [
        f"only {particles} in the interior, without a neighbour at the surface: distances, "
        "coordination and packing there are no mean of the assembly, and their errors do not hold"
    ]


def _unusual(distance: Measured) -> list[str]:
    """Return a warning in one line where no particles that transmit electrons are so far apart."""
    nearest_nm, furthest_nm = USUAL_DISTANCES_NM
    if nearest_nm <= distance.value <= furthest_nm:
        return []
    return [f"neighbours are {distance.value:.3g} nm apart: check the unit of the coordinates"]


def _too_large(packing: Measured, distance: Measured) -> str:
    """Return a warning in one line where spheres of the given diameters would overlap."""
    return (
        f"spheres of these diameters would fill {packing.value:.3g} of the volume, and neighbours "
        f"are {distance.value:.3g} nm apart: there is no packing fraction; check the unit of the "
        "diameters"
    )


def _shares(repeats: Repeats) -> dict[StructureType, Measured]:
    """Return the shares. The error of one is that of one particle at least: no share is certain."""
    first = repeats.first
    one_particle = 1 / max(1, int((first.structure != SURFACE).sum()))
    errors = np.maximum(repeats.change(lambda one: one.shares), one_particle)
    return {
        CODES[code]: Measured(value=float(share), error=float(error))
        for code, (share, error) in enumerate(zip(first.shares, errors, strict=True))
    }


def _packing(repeats: Repeats, diameter_nm: Float64 | None) -> Measured | None:
    """Return the volume share of spheres with diameters [n] in the cells of the interior."""
    if diameter_nm is None or repeats.first.neighbours.at_surface.all():
        return None

    def spheres_and_cells(one: Arrangement) -> tuple[Float64, Float64]:
        interior = one.neighbours.interior
        spheres = np.pi / 6 * diameter_nm[one.members[interior]] ** 3
        return spheres, np.asarray(one.neighbours.volume_nm3[interior])

    def packing(one: Arrangement) -> float:
        spheres, cells = spheres_and_cells(one)
        return float(spheres.sum() / cells.sum())

    spheres, cells = spheres_and_cells(repeats.first)
    # cells share their faces: the sum over many varies less than that of independent ones
    error = np.std(spheres - packing(repeats.first) * cells) / cells.mean() / np.sqrt(len(cells))
    return repeats.measure(packing, float(error))


def _bond_order_means(repeats: Repeats) -> dict[str, Measured]:
    def values(name: str, found: Arrangement) -> Float64:
        return np.asarray(getattr(found.order, name), np.float64)

    names = [one.name for one in fields(BondOrder)]
    return {name: _interior_mean(repeats, partial(values, name)) for name in names}


def _interior_mean(repeats: Repeats, values: Callable[[Arrangement], Float64 | Ints]) -> Measured:
    def known(one: Arrangement) -> Float64:
        own = np.asarray(values(one)[one.neighbours.interior], np.float64)
        return own[np.isfinite(own)]

    def mean(one: Arrangement) -> float:
        return float(known(one).mean()) if len(known(one)) else np.nan

    own = known(repeats.first)
    return repeats.measure(mean, float(own.std() / np.sqrt(len(own))) if len(own) else 0.0)


def _correlations(
    repeats: Repeats, position_error_nm: float
) -> tuple[PairCorrelation, StructureFactor]:
    found = repeats.first.correlations
    g_error = np.hypot(found.g_error, repeats.change(lambda one: one.correlations.g))
    # errors of sigma weaken S - 1 by exp(-q^2 sigma^2); the first time it was that much stronger
    weakened = np.maximum(np.exp(-((found.q_per_nm * position_error_nm) ** 2)), WEAKEST)
    s_error = np.hypot(found.s_error, repeats.change(lambda one: one.correlations.s) / weakened)
    return (
        PairCorrelation(r_nm=found.r_nm.tolist(), g=found.g.tolist(), error=g_error.tolist()),
        StructureFactor(
            q_per_nm=found.q_per_nm.tolist(), s=found.s.tolist(), error=s_error.tolist()
        ),
    )
