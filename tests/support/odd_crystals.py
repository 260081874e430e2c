"""Crystals of which a part is not that of a crystal, as specimens of the simulator.

The beam of series A leaves them at small z, that of B at large z.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

import simulator.specimen as specimen
from processing.series import Bools, Float64
from simulator.crystals import fcc, neighbour_distance_nm
from simulator.settings import Packing, SpecimenSettings

PART = 1 / 3
"""Share of the radius below which an exit part begins, and to which a middle part reaches."""
APART = 0.93
"""Smallest distance of neighbours at a border, in those of the crystal."""

Sites = Callable[[SpecimenSettings, np.random.Generator], Float64]
Part = Callable[[Float64, SpecimenSettings], Bools]
"""True for the sites that are not those of the crystal."""


def _radius_nm(settings: SpecimenSettings) -> float:
    return settings.assembly_diameter_nm / 2


def _on_exit_side(sites_nm: Float64, settings: SpecimenSettings) -> Bools:
    return np.asarray(sites_nm[:, 2] < -PART * _radius_nm(settings), bool)


def _in_the_middle(sites_nm: Float64, settings: SpecimenSettings) -> Bools:
    return np.asarray(np.abs(sites_nm[:, 2]) < PART * _radius_nm(settings), bool)


def _joined(
    crystal_nm: Float64, other_nm: Float64, part: Part, settings: SpecimenSettings
) -> Float64:
    """Return a crystal with another part, without sites that are too close to the crystal."""
    own = crystal_nm[~part(crystal_nm, settings)]
    other = other_nm[part(other_nm, settings)]
    least_nm = APART * neighbour_distance_nm(settings)
    return np.vstack([own, other[cKDTree(own).query(other)[0] >= least_nm]])


def _disordered(part: Part) -> Sites:
    def sites(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
        crystal_nm = fcc(settings, rng)
        other_nm = specimen._PACKINGS[Packing.DISORDERED](settings, rng)
        return _joined(crystal_nm, other_nm, part, settings)

    return sites


def _aside(part: Part) -> Sites:
    def sites(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
        crystal_nm = fcc(settings, rng)
        aside_nm = 0.4 * neighbour_distance_nm(settings) * np.array([1.0, 0.0, 0.0])
        return _joined(crystal_nm, crystal_nm + aside_nm, part, settings)

    return sites


def _other_grain(part: Part) -> Sites:
    def sites(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
        return _joined(fcc(settings, rng), fcc(settings, rng), part, settings)

    return sites


def _small_angle(part: Part) -> Sites:
    def sites(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
        crystal_nm = fcc(settings, rng)
        turned_nm = Rotation.from_euler("x", 6, degrees=True).apply(crystal_nm)
        return _joined(crystal_nm, turned_nm, part, settings)

    return sites


def _vacancies(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
    crystal_nm = fcc(settings, rng)
    return np.asarray(crystal_nm[rng.random(len(crystal_nm)) > 0.12], np.float64)


def _hole(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
    crystal_nm = fcc(settings, rng)
    hole_nm = np.array([0, 0, -0.55 * _radius_nm(settings)])
    from_hole_nm = np.linalg.norm(crystal_nm - hole_nm, axis=1)
    return np.asarray(crystal_nm[from_hole_nm > 0.3 * _radius_nm(settings)], np.float64)


def _bent(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
    """Bend the planes: at the rim by 4.5 % of the radius, half a bond and more."""
    sites_nm = fcc(settings, rng)
    sites_nm[:, 2] += 0.045 / _radius_nm(settings) * sites_nm[:, 0] ** 2
    return sites_nm


def _dislocation(settings: SpecimenSettings, rng: np.random.Generator) -> Float64:
    """Displace the sites as an edge dislocation on the exit side does (Hirth and Lothe 1982)."""
    sites_nm = fcc(settings, rng)
    bond_nm, poisson = neighbour_distance_nm(settings), 0.3
    x, z = sites_nm[:, 0], sites_nm[:, 2] + 0.4 * _radius_nm(settings)
    square = x**2 + z**2 + 0.3 * bond_nm**2
    along = np.arctan2(z, x) + x * z / (2 * (1 - poisson) * square)
    up = (1 - 2 * poisson) / (4 * (1 - poisson)) * np.log(square / bond_nm**2)
    up += (x**2 - z**2) / (4 * (1 - poisson) * square)
    sites_nm[:, 0] += bond_nm / (2 * np.pi) * along
    sites_nm[:, 2] -= bond_nm / (2 * np.pi) * up
    pairs = cKDTree(sites_nm).query_pairs(0.85 * bond_nm, output_type="ndarray")
    return np.delete(sites_nm, pairs[:, 1], axis=0)


ODD_CRYSTALS: dict[str, Sites] = {
    "perfect": fcc,
    "exit third disordered": _disordered(_on_exit_side),
    "exit third 0.4 bonds aside": _aside(_on_exit_side),
    "exit third another grain": _other_grain(_on_exit_side),
    "exit third turned by 6 degrees": _small_angle(_on_exit_side),
    "12 % of the sites empty": _vacancies,
    "hole on the exit side": _hole,
    "bent": _bent,
    "edge dislocation on the exit side": _dislocation,
}
"""Crystals that break what the lattice says of one series."""
ODD_MIDDLES: dict[str, Sites] = {
    "perfect": fcc,
    "middle third disordered": _disordered(_in_the_middle),
    "middle third 0.4 bonds aside": _aside(_in_the_middle),
    "middle third another grain": _other_grain(_in_the_middle),
    "middle third turned by 6 degrees": _small_angle(_in_the_middle),
    "12 % of the sites empty": _vacancies,
    "bent": _bent,
}
"""The same for both series, which are least certain of the middle."""


@contextmanager
def simulated_as_faulted(name: str) -> Iterator[None]:
    """Let the simulator make this crystal where crystals with stacking faults are asked for."""
    with patch.dict(specimen._PACKINGS, {Packing.FAULTED: (ODD_CRYSTALS | ODD_MIDDLES)[name]}):
        yield
