"""One assembly with true and disturbed positions, and the differences of their structures."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing.series import Float64
from processing.structure.analyse import StructureAnalysis, analyse_structure
from processing.structure.classify import FCC
from processing.structure.errors import PositionError
from processing.structure.orientations import misorientation
from processing.structure_results import Grain, PlaneKind, Structure
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly
from tests.support.position_errors import found_positions

DIAMETER_NM, SPACING_RATIO = 6.3, 1.22
FCC_EDGE_NM = DIAMETER_NM * SPACING_RATIO * np.sqrt(2)
SMALL_GRAIN = 100
"""Particles below which the orientation of a grain is not required to be within 0.5 degrees."""


@dataclass(frozen=True)
class Level:
    """Errors of found positions: standard deviations of x, y, z, and shares missed and false."""

    name: str
    errors_nm: tuple[float, float, float]
    missed: float


LEVELS = (
    Level("small", (0.06, 0.06, 0.09), 0.005),
    Level("usual", (0.10, 0.10, 0.16), 0.010),
    Level("large", (0.14, 0.14, 0.22), 0.020),
)
"""0.12, 0.21 and 0.30 nm rms in three dimensions."""


@dataclass(frozen=True)
class Case:
    """An assembly, and the origin of the positions that are compared with its true ones."""

    packing: Packing
    level: str
    seed: int


@dataclass(frozen=True)
class Row:
    """Differences between the structures of found and of true positions.

    Attributes
    ----------
    share_points
        Largest difference of a share, in percentage points, and the error given for this share.
    grains, planes
        Numbers of grains and twin planes, true and found.
    turn_deg
        Largest difference of orientation of a grain of `SMALL_GRAIN` particles or more; None
        without such grains.
    edge_percent
        Difference of the lattice constant from the one of the simulation.
    edge_error_percent
        Error given for it.
    depth_rms_nm
        Difference of the particles' depths from those of the nearest true particles.
    coordination, scattering, bond_order
        Differences over the errors given for them, both as rms: mean coordination of the layers;
        S(q); averaged q6 of the particles.
    """

    packing: str
    level: str
    """Name of the errors, or series that show the positions."""
    seed: int
    particles: int
    share_points: float
    share_error_points: float
    grains: tuple[int, int]
    planes: tuple[int, int]
    turn_deg: float | None
    edge_percent: float | None
    edge_error_percent: float | None
    depth_rms_nm: float
    coordination: float
    scattering: float
    bond_order: float
    cpu_s: float


def measure(packing: Packing, size_nm: float, seed: int) -> list[Row]:
    """Return one row for each level of errors."""
    settings = SpecimenSettings(
        packing=packing,
        assembly_diameter_nm=size_nm,
        particle_diameter_nm=DIAMETER_NM,
        spacing_ratio=SPACING_RATIO,
    )
    true_nm = make_assembly(settings, seed).centres_nm
    true = true_analysis(true_nm)

    def disturbed(level: Level) -> Row:
        found_nm = found_positions(
            true_nm,
            seed=seed,
            errors_nm=level.errors_nm,
            missed=level.missed,
            false=level.missed,
        )
        case = Case(packing, level.name, seed)
        return compared(case, Truth(true_nm, true, FCC_EDGE_NM), found_nm)

    return [disturbed(level) for level in LEVELS]


def true_analysis(true_nm: Float64) -> StructureAnalysis:
    """Return the structure of true positions [n, 3]."""
    return analyse_structure(true_nm, position_error=PositionError(0.0, "truth"))


@dataclass(frozen=True, eq=False)
class Truth:
    """True positions [n, 3], their structure, and the true lattice constant."""

    centres_nm: Float64
    analysis: StructureAnalysis
    edge_nm: float


def compared(
    case: Case, truth: Truth, found_nm: Float64, error: PositionError | None = None
) -> Row:
    """Return the differences of the structure of found positions [n, 3] from the true one.

    Parameters
    ----------
    error
        Errors that the fit gave the positions; None takes the scatter about the lattice.
    """
    started_s = time.process_time()
    diameters_nm = np.full(len(found_nm), DIAMETER_NM)
    analysis = analyse_structure(found_nm, diameters_nm, position_error=error)
    cpu_s = time.process_time() - started_s
    true, found, edge_nm = truth.analysis.summary, analysis.summary, truth.edge_nm
    _, nearest = cKDTree(truth.centres_nm).query(found_nm)

    def of_particles(column: str) -> Float64:
        """Return the differences from the nearest true particles."""
        own, other = (one.particles.values[column] for one in (analysis, truth.analysis))
        return np.asarray(own - other[nearest], np.float64)

    s, true_s = (one.structure_factor for one in (analysis, truth.analysis))
    layers = list(zip(found.layers, true.layers, strict=False))
    apart = {
        name: abs(share.value - true.shares[name].value) for name, share in found.shares.items()
    }
    worst = max(apart, key=lambda name: apart[name])
    edge = found.lattice_constant_nm
    return Row(
        case.packing.value,
        case.level,
        case.seed,
        len(found_nm),
        100 * apart[worst],
        100 * found.shares[worst].error,
        (len(true.grains), len(found.grains)),
        (_twins(true), _twins(found)),
        _largest_turn(true.grains, found.grains),
        None if edge is None else float(100 * (edge.value / edge_nm - 1)),
        None if edge is None else float(100 * edge.error / edge_nm),
        _rms(of_particles("depth_nm")),
        _ratio(
            [own.coordination - other.coordination for own, other in layers],
            [own.coordination_error or 0.0 for own, _ in layers],
        ),
        _ratio(np.subtract(s.s, np.interp(s.q_per_nm, true_s.q_per_nm, true_s.s)), s.error),
        _ratio(of_particles("mean_q6"), analysis.particles.errors["mean_q6"]),
        cpu_s,
    )


def _ratio(differences: ArrayLike, errors: ArrayLike) -> float:
    return _rms(differences) / _rms(errors)


def _rms(values: ArrayLike) -> float:
    return float(np.sqrt(np.nanmean(np.asarray(values, np.float64) ** 2)))


def _twins(structure: Structure) -> int:
    return sum(plane.kind is PlaneKind.TWIN for plane in structure.planes)


def _largest_turn(true: list[Grain], found: list[Grain]) -> float | None:
    """Return the largest angle between a true grain and the found one nearest to it."""
    turns = [
        min(
            _turn(grain, other)
            for other in found
            if np.linalg.norm(np.subtract(grain.centre_nm, other.centre_nm)) < 20
        )
        for grain in true
        if grain.particles >= SMALL_GRAIN
    ]
    return max(turns) if turns else None


def _turn(first: Grain, second: Grain) -> float:
    one, other = (
        Rotation.from_quat(grain.orientation, scalar_first=True).as_matrix()
        for grain in (first, second)
    )
    return float(misorientation(one[None], other[None], FCC)[0][0])
