"""Crystals with stacking faults, vacancies and bent planes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.spatial import cKDTree

from simulator.crystals import bent
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly

SPACING_NM = 1.22 * 6.3
SIZE_NM = 100.0


def centres_nm(seed: int = 3, **how: object) -> NDArray[np.float64]:
    settings = {"assembly_diameter_nm": SIZE_NM, "position_disorder": 0.0, **how}
    return make_assembly(SpecimenSettings.model_validate(settings), seed).centres_nm


def inner(places_nm: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.linalg.norm(places_nm, axis=1) < 0.38 * SIZE_NM - SPACING_NM)


def opposite_contacts(places_nm: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return, of each inner particle, the contacts with another on the opposite side."""
    tree = cKDTree(places_nm)
    found = []
    for one in inner(places_nm):
        bonds = places_nm[tree.query_ball_point(places_nm[one], 1.1 * SPACING_NM)] - places_nm[one]
        bonds = bonds[np.linalg.norm(bonds, axis=1) > 0]
        assert len(bonds) == 12
        found.append((cKDTree(bonds).query(-bonds)[0] < 0.1 * SPACING_NM).sum())
    return np.array(found)


@pytest.mark.parametrize(
    ("chance", "seeds", "least", "most"),
    [(0.0, 2, 0.0, 0.0), (0.3, 6, 0.25, 0.6)],
    ids=["no faults", "many faults"],
)
def test_planes_beside_a_fault_are_stacked_as_in_hcp(
    chance: float, seeds: int, least: float, most: float
) -> None:
    # all twelve contacts of fcc have an opposite one; in the plane of hcp only six do
    counts = np.concatenate(
        [
            opposite_contacts(
                centres_nm(seed, packing=Packing.FAULTED, stacking_fault_chance=chance)
            )
            for seed in range(seeds)
        ]
    )
    assert set(counts.tolist()) <= {6, 12}
    assert least <= (counts == 6).mean() <= most


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.FAULTED, Packing.ICOSAHEDRAL])
def test_vacancies_are_empty_sites(packing: Packing) -> None:
    full, with_vacancies = (centres_nm(packing=packing, vacancies=share) for share in (0.0, 0.1))
    assert len(with_vacancies) == pytest.approx(0.9 * len(full), rel=0.03)
    assert cKDTree(full).query(with_vacancies)[0].max() < 1e-9


def test_bending_turns_the_planes_of_opposite_sides_towards_each_other() -> None:
    curvature = np.deg2rad(2.0) / SIZE_NM
    ends = np.array([[side * SIZE_NM / 2, across, 0.0] for side in (-1, 1) for across in (0, 1)])
    left, right = np.diff(bent(ends, curvature, np.eye(3)).reshape(2, 2, 3), axis=1)[:, 0]
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    assert np.rad2deg(np.arccos(cosine)) == pytest.approx(2.0, rel=0.01)


def test_a_gentle_bend_keeps_the_contacts() -> None:
    places_nm = centres_nm(bend_deg=2.0)
    nearest_nm = cKDTree(places_nm).query(places_nm, 2)[0][inner(places_nm), 1]
    # the outermost planes are strained by half of the angle
    assert nearest_nm == pytest.approx(SPACING_NM, rel=np.deg2rad(2.0) / 2)
    assert np.ptp(nearest_nm) > 0.002 * SPACING_NM


def test_a_laves_crystal_has_two_small_particles_for_each_large_one() -> None:
    settings = SpecimenSettings(
        packing=Packing.LAVES,
        assembly_diameter_nm=80.0,
        size_spread=0.0,
        position_disorder=0.0,
        small_ratio=0.78,
    )
    crystal = make_assembly(settings, 3)
    small = crystal.diameters_nm < settings.particle_diameter_nm
    assert 0.64 < small.mean() < 0.69
    inner = np.linalg.norm(crystal.centres_nm, axis=1) < 25.0
    spacing_nm = settings.spacing_ratio * settings.particle_diameter_nm
    # large ones have 4 large neighbours and 12 small ones, small ones 6 of each
    for of, around, number, distance in (
        (~small, ~small, 4, 1.0),
        (~small, small, 12, np.sqrt(11 / 12)),
        (small, small, 6, np.sqrt(2 / 3)),
        (small, ~small, 6, np.sqrt(11 / 12)),
    ):
        tree = cKDTree(crystal.centres_nm[around])
        away = tree.query(crystal.centres_nm[of & inner], k=number + 2)[0] / spacing_nm
        near = np.abs(away - distance) < 1e-3
        assert set(near.sum(axis=1)) == {number}
        assert not ((away > 1e-6) & (away < distance - 1e-3)).any()


def test_a_laves_crystal_has_its_own_share_of_small_particles() -> None:
    with pytest.raises(ValidationError, match="small_share"):
        SpecimenSettings(packing=Packing.LAVES, small_share=0.4)
