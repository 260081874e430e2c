"""Distances of places from the sites of the lattice that a crystal's particles share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations, product

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.count.lattice_sites import ON_SITE, sites_of_crystal
from processing.count.stacked_lattice import likely_positions
from processing.count.wrong_places import local_scatter
from processing.series import Bools, Float64
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly
from tests.support.spheres import packed

BOND_NM = 7.7
RADIUS_NM = 40.0


def crystal(seed: int = 2) -> Float64:
    """Return an fcc crystal whose sites scatter by 0.4 nm."""
    sites = packed(RADIUS_NM, BOND_NM, order="fcc", seed=seed)
    return sites + np.random.default_rng(seed).normal(0, 0.4, sites.shape)


def measured(centres_nm: Float64, entrance: Bools | None = None) -> Float64:
    """Return the distances from sites; all spheres are particles and equally sharp."""
    if entrance is None:
        entrance = centres_nm[:, 2] >= 0
    number = len(centres_nm)
    scatter = local_scatter(centres_nm, centres_nm, np.full(number, 6.3))
    found = sites_of_crystal(centres_nm, np.ones(number), scatter, np.ones(number, bool), entrance)
    return np.full(number, np.nan) if found is None else found.off_site


def bent(centres_nm: Float64) -> Float64:
    """Shear the crystal by 1 %, and bend it by a tenth of a bond at its ends."""
    x, y, z = centres_nm.T
    return np.column_stack([x + 0.01 * z, y, z + 0.1 * BOND_NM * (x / RADIUS_NM) ** 2])


@pytest.mark.parametrize("shape", [lambda centres_nm: centres_nm, bent], ids=["straight", "bent"])
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_part_that_settled_beside_its_sites_is_told_from_the_crystal(
    shape: Callable[[Float64], Float64], seed: int
) -> None:
    right = shape(crystal(seed))
    wrong = right[:, 2] < -0.6 * RADIUS_NM
    # another hollow of the layer above: distances of neighbours inside the part stay
    aside = np.array([1.0, 0.0, 0.0]) * BOND_NM / np.sqrt(3)
    found = measured(right + wrong[:, None] * aside)
    assert (found[~wrong] < ON_SITE).mean() > 0.97
    assert (found[wrong] > ON_SITE).mean() > 0.97


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_a_sheared_exit_side_is_told_from_the_crystal(seed: int) -> None:
    right = crystal(seed)
    shift_nm = 0.15 * np.maximum(-right[:, 2] - 5, 0)
    found = measured(right + shift_nm[:, None] * [1.0, 0.0, 0.0])
    assert (found[shift_nm > 0.4 * BOND_NM] > ON_SITE).mean() > 0.9
    assert (found[shift_nm == 0] < ON_SITE).mean() > 0.97


def with_other_grain() -> Float64:
    """Return two grains side by side in the beam."""
    one, other = crystal(2), crystal(3)
    return np.vstack([one[one[:, 0] < -2], other[other[:, 0] > 2]])


def icosahedron(seed: int) -> Float64:
    """Return three shells around a particle with fivefold axes: twenty grains."""
    golden = (1 + np.sqrt(5)) / 2
    corners = np.array(
        [np.roll([0.0, a, b * golden], turn) for turn in range(3) for a in (-1, 1) for b in (-1, 1)]
    )
    near = np.linalg.norm(corners[:, None] - corners[None], axis=2) < 2.1
    sites = {(0.0, 0.0, 0.0)}
    for one, two, three in combinations(range(12), 3):
        if near[one, two] and near[two, three] and near[one, three]:
            for a, b, c in product(range(6), repeat=3):
                if a + b + c <= 5:
                    place = a * corners[one] + b * corners[two] + c * corners[three]
                    sites.add(tuple(np.round(place, 6)))
    exact = BOND_NM / 1.95 * np.array(sorted(sites))
    turned = Rotation.random(random_state=seed).apply(exact)
    return turned + np.random.default_rng(seed).normal(0, 0.1, exact.shape)


NO_CRYSTAL = {
    **{f"icosahedron {seed}": partial(icosahedron, seed) for seed in range(4)},
    "disordered": lambda: packed(RADIUS_NM, BOND_NM, order="disordered", seed=2),
    "two grains": with_other_grain,
    "points at random": lambda: np.random.default_rng(1).uniform(-40, 40, (800, 3)),
    "one row": lambda: BOND_NM * np.arange(200.0)[:, None] * [1.0, 0.0, 0.0],
    "one layer": lambda: packed(90, BOND_NM, order="fcc", seed=2) * [1, 1, 0.0],
    "few particles": lambda: crystal()[:20],
    "far apart": lambda: 500.0 * np.random.default_rng(1).normal(size=(100, 3)),
    "none": lambda: np.zeros((0, 3)),
    "all in one place": lambda: np.zeros((200, 3)),
}


@pytest.mark.parametrize("particles", NO_CRYSTAL.values(), ids=NO_CRYSTAL)
def test_other_particles_share_no_lattice(particles: Callable[[], Float64]) -> None:
    assert np.isnan(measured(particles())).all()


def test_another_grain_below_the_crystal_shares_no_lattice() -> None:
    one, other = crystal(2), crystal(3)
    grain = other[other[:, 2] < -6]
    centres_nm = np.vstack([one[one[:, 2] > -2], grain])
    found = measured(centres_nm)
    assert np.isnan(found[-len(grain) :]).mean() > 0.95
    assert (found[: -len(grain)] < ON_SITE).mean() > 0.9


@pytest.mark.parametrize("seed", range(8))
def test_particles_beyond_stacking_faults_are_on_sites(seed: int) -> None:
    settings = SpecimenSettings(
        packing=Packing.FAULTED,
        assembly_diameter_nm=90.0,
        stacking_fault_chance=0.15,
        vacancies=0.02,
        bend_deg=1.0,
    )
    centres_nm = make_assembly(settings, seed).centres_nm
    noisy_nm = centres_nm + np.random.default_rng(seed).normal(0, 0.3, centres_nm.shape)
    assert (measured(noisy_nm) < ON_SITE).mean() > 0.97


STACKS = {
    "perfect": "ABCABCABCABC",
    "displaced beyond a plane": "ABCABCBCABCA",
    "a twin": "ABCABCBACBAC",
    "a twin of three planes": "ABCABACBABCA",
    "displaced twice in a twin": "CBACBCBACACB",
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_the_positions_of_planes_are_found(stack: str) -> None:
    position = np.array(["ABC".index(letter) for letter in stack])
    shift = (position - np.arange(len(stack))) % 3
    held = np.random.default_rng(1).uniform(0, 2, (len(stack), 3)) + 10 * np.eye(3)[shift]
    assert likely_positions(held, 6.0)[0].tolist() == shift.tolist()


def test_a_few_particles_beside_a_plane_are_no_fault() -> None:
    held = np.tile([10.0, 0.0, 0.0], (9, 1))
    held[4:6] = [[4.0, 6.0, 0.0], [5.0, 0.0, 6.0]]
    positions, score = likely_positions(held, 6.0)
    assert (positions.tolist(), score) == ([0] * 9, 79.0)
