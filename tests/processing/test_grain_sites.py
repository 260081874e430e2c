"""Distances of places from the sites of the lattices of several grains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.count.grain_sites import sites_of_grains
from processing.count.stacked_lattice import ON_SITE
from processing.series import Float64
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly
from tests.support.spheres import packed

BOND_NM = 7.7
RADIUS_NM = 50.0
ASIDE_NM = BOND_NM * np.array([0.4, 0.2, 0.1])
"""Displacement of a part that has settled beside its sites."""


def crystal(seed: int) -> Float64:
    """Return an fcc crystal whose sites scatter by 0.3 nm."""
    sites = packed(RADIUS_NM, BOND_NM, order="fcc", seed=seed)
    return sites + np.random.default_rng(seed).normal(0, 0.3, sites.shape)


def grains(seed: int) -> Float64:
    """Return a simulated assembly of three grains whose places scatter by 0.3 nm."""
    settings = SpecimenSettings(packing=Packing.MULTI_GRAIN, assembly_diameter_nm=110.0)
    centres_nm = make_assembly(settings, seed).centres_nm
    return centres_nm + np.random.default_rng(seed).normal(0, 0.3, centres_nm.shape)


def measured(centres_nm: Float64) -> Float64:
    """Return the distances from sites; all spheres are particles and equally sharp."""
    number = len(centres_nm)
    entrance = centres_nm[:, 2] >= np.median(centres_nm[:, 2]) if number else np.zeros(0, bool)
    found = sites_of_grains(centres_nm, np.ones(number), np.ones(number, bool), entrance)
    return np.full(number, np.nan) if found is None else found.off_site


@pytest.mark.parametrize("seed", range(6))
def test_particles_of_several_grains_are_on_sites(seed: int) -> None:
    assert (measured(grains(seed)) < ON_SITE).mean() > 0.97


@pytest.mark.parametrize("seed", range(6))
def test_a_crystal_that_is_not_close_packed_has_no_sites(seed: int) -> None:
    """Around one place of it, a lattice may fit that no particle belongs to."""
    settings = SpecimenSettings(packing=Packing.LAVES, assembly_diameter_nm=80.0)
    centres_nm = make_assembly(settings, seed).centres_nm
    scattered = centres_nm + np.random.default_rng(seed).normal(0, 0.3, centres_nm.shape)
    assert np.isnan(measured(scattered)).all()


def side_by_side(seed: int, angle_deg: float) -> Float64:
    """Return two grains, both of which the beam enters, turned against each other."""
    one, other = crystal(seed), crystal(seed)
    turned = Rotation.from_rotvec(angle_deg * axis(seed), degrees=True).apply(other)
    return np.vstack([one[one[:, 0] < -3], turned[turned[:, 0] > 3]])


def axis(seed: int) -> Float64:
    """Return a direction at random."""
    direction = np.random.default_rng(seed + 100).normal(size=3)
    return np.asarray(direction / np.linalg.norm(direction), np.float64)


@pytest.mark.parametrize("angle_deg", [12.0, 17.0, 25.0, 40.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_part_that_settled_beside_the_sites_of_its_grain_is_told(
    seed: int, angle_deg: float
) -> None:
    right = side_by_side(seed, angle_deg)
    wrong = right[:, 2] < -0.5 * RADIUS_NM
    found = measured(right + wrong[:, None] * ASIDE_NM)
    assert (found[~wrong] < ON_SITE).mean() > 0.97
    # sites of the other grain, and those beyond a stacking fault, are near by chance
    assert (found[wrong] > ON_SITE).mean() > 0.75


def beneath(other: Float64) -> Float64:
    """Return a crystal whose lower part is cut away, with other particles in its place."""
    upper = crystal(2)
    return np.vstack([upper[upper[:, 2] > -14], other[other[:, 2] < -20]])


def test_a_grain_that_the_entrance_side_does_not_show_has_sites_of_its_own() -> None:
    centres_nm = beneath(crystal(3))
    assert (measured(centres_nm) < ON_SITE).mean() > 0.97


def test_a_crystal_that_settled_aside_is_no_other_grain() -> None:
    centres_nm = beneath(crystal(2) + ASIDE_NM)
    found = measured(centres_nm)
    lower = centres_nm[:, 2] < -17
    assert (found[~lower] < ON_SITE).mean() > 0.97
    assert (found[lower] > ON_SITE).mean() > 0.97


def half_disordered() -> Float64:
    """Return a crystal beside disordered particles; the beam enters both."""
    ordered, other = crystal(2), packed(RADIUS_NM, BOND_NM, order="disordered", seed=2)
    return np.vstack([ordered[ordered[:, 0] < -4], other[other[:, 0] > 4]])


def random_packing() -> Float64:
    settings = SpecimenSettings(packing=Packing.DISORDERED, assembly_diameter_nm=110.0)
    return make_assembly(settings, 1).centres_nm


NO_GRAINS = {
    "disordered": random_packing,
    "cubic grid": lambda: packed(RADIUS_NM, BOND_NM, order="disordered", seed=2),
    "half disordered": half_disordered,
    "points at random": lambda: np.random.default_rng(1).uniform(-40, 40, (800, 3)),
    "one row": lambda: BOND_NM * np.arange(200.0)[:, None] * [1.0, 0.0, 0.0],
    "one layer": lambda: packed(90, BOND_NM, order="fcc", seed=2) * [1, 1, 0.0],
    "few particles": lambda: crystal(2)[:20],
    "far apart": lambda: 500.0 * np.random.default_rng(1).normal(size=(200, 3)),
    "none": lambda: np.zeros((0, 3)),
    "all in one place": lambda: np.zeros((200, 3)),
}


@pytest.mark.parametrize("particles", NO_GRAINS.values(), ids=NO_GRAINS)
def test_other_particles_have_no_grains(particles: Callable[[], Float64]) -> None:
    assert np.isnan(measured(particles())).all()
