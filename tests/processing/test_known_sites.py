"""Sites of known lattices: all of them in a box, and those around places of each grain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from processing.count.grain_sites import sites_of_grains
from processing.count.known_sites import KnownSites
from processing.count.lattice_sites import sites_of_crystal
from processing.count.wrong_places import local_scatter
from processing.series import Bools, Float64
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly

SIZE_NM = 110.0
PACKINGS = (Packing.FCC, Packing.FAULTED, Packing.TWINNED, Packing.MULTI_GRAIN)


def assembly(packing: Packing, seed: int) -> Float64:
    settings = SpecimenSettings(packing=packing, assembly_diameter_nm=SIZE_NM)
    return make_assembly(settings, seed).centres_nm


def known(centres_nm: Float64) -> KnownSites:
    """Return the sites of an assembly; all its particles are equally sharp."""
    number = len(centres_nm)
    sharp, all_of_them = np.ones(number), np.ones(number, bool)
    scatter = local_scatter(centres_nm, centres_nm, np.full(number, 6.3))
    entrance = centres_nm[:, 2] >= np.median(centres_nm[:, 2])
    found = sites_of_crystal(centres_nm, sharp, scatter, all_of_them, entrance)
    found = found or sites_of_grains(centres_nm, sharp, all_of_them, entrance)
    assert found is not None
    return found


def inside(places_nm: Float64, half_nm: float) -> Bools:
    return np.asarray((np.abs(places_nm) <= half_nm).all(axis=1), bool)


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.FAULTED, Packing.TWINNED])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_box_holds_a_site_for_each_particle_of_a_crystal_and_no_more(
    packing: Packing, seed: int
) -> None:
    centres_nm = assembly(packing, seed)
    (lattice,) = known(centres_nm).lattices
    corner = np.full(3, 25.0)
    sites_nm = lattice.sites_between(-corner, corner)
    assert inside(sites_nm, 25.0).all()
    particles_nm = centres_nm[inside(centres_nm, 25.0 - 1.5)]
    assert cKDTree(sites_nm).query(particles_nm)[0].max() < 0.25 * lattice.bond_nm
    further_in = sites_nm[inside(sites_nm, 25.0 - 1.5)]
    assert cKDTree(centres_nm).query(further_in)[0].max() < 0.25 * lattice.bond_nm


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_part_that_is_moved_aside_has_its_former_sites_around_it(packing: Packing) -> None:
    right = assembly(packing, 4)
    moved = right[:, 2] < -0.25 * SIZE_NM
    settled = right + moved[:, None] * [2.6, 1.6, 1.0]
    found = known(settled)
    beside = found.beside
    assert beside[moved].mean() > 0.75
    assert beside[~moved].mean() < 0.05
    sites_nm = found.sites_around(settled, beside)
    bond_nm = found.lattices[0].bond_nm
    # planes that lie wholly in the moved part may be taken for faults
    assert (cKDTree(sites_nm).query(right[moved])[0] < 0.4 * bond_nm).mean() > 0.8


def test_no_places_have_no_sites_around_them() -> None:
    centres_nm = assembly(Packing.FCC, 5)
    assert known(centres_nm).sites_around(centres_nm, np.zeros(len(centres_nm), bool)).shape == (
        0,
        3,
    )
