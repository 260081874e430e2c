"""Assemblies: as many particles, as dense and as flat as the real ones."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import cKDTree

from simulator.settings import Packing, SimulatorSettings, SpecimenSettings
from simulator.specimen import make_assembly

PROFILES = Path(__file__).parents[2] / "config" / "simulator"


@dataclass(frozen=True)
class Dense:
    """What a packing of the paper's size must hold."""

    packing: Packing
    count: tuple[int, int]
    fill: tuple[float, float]
    """Gold in the round envelope."""
    neighbour: tuple[float, float]
    """Mean nearest distance over the diameter."""


PACKINGS = (
    Dense(Packing.FCC, (7000, 7250), (0.39, 0.40), (1.15, 1.25)),
    Dense(Packing.MULTI_GRAIN, (6400, 7100), (0.35, 0.40), (1.15, 1.25)),
    # random packing is looser than a crystal of the same contacts by a fifth
    Dense(Packing.DISORDERED, (5300, 5900), (0.29, 0.33), (1.15, 1.25)),
)


@pytest.mark.parametrize("case", PACKINGS, ids=lambda case: case.packing.value)
def test_packing_is_dense_and_does_not_overlap(case: Dense) -> None:
    settings = SpecimenSettings(packing=case.packing)
    made = make_assembly(settings, seed=1)
    nearest = cKDTree(made.centres_nm).query(made.centres_nm, 2)[0][:, 1]
    nearest /= settings.particle_diameter_nm
    fill = np.sum(made.diameters_nm**3) / settings.assembly_diameter_nm**3
    assert case.count[0] <= len(made) <= case.count[1]
    assert case.fill[0] <= fill <= case.fill[1]
    assert case.neighbour[0] <= nearest.mean() <= case.neighbour[1]
    assert nearest.min() > 1.05


@pytest.mark.parametrize("packing", Packing, ids=lambda packing: packing.value)
def test_grid_side_is_flat_and_faces_the_source(packing: Packing) -> None:
    made = make_assembly(SpecimenSettings(packing=packing, assembly_diameter_nm=100.0), seed=1)
    height = made.centres_nm[:, 2]
    assert height.max() == pytest.approx(40.0, abs=1.5)
    assert height.min() == pytest.approx(-50.0, abs=3.0)
    assert (height > height.max() - 6.0).sum() > 2 * (height < height.min() + 6.0).sum()


@pytest.mark.parametrize("packing", Packing, ids=lambda packing: packing.value)
def test_same_seed_same_assembly_another_seed_another(packing: Packing) -> None:
    settings = SpecimenSettings(packing=packing, assembly_diameter_nm=60.0)
    first, again, other = (make_assembly(settings, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.centres_nm, again.centres_nm)
    assert not np.array_equal(first.centres_nm[:10], other.centres_nm[:10])


def test_crystal_differs_from_disorder_in_its_pair_distances() -> None:
    def second_shell(packing: Packing) -> float:
        """Share of pairs near sqrt(2) spacings among those up to 1.5: none but in a crystal."""
        made = make_assembly(SpecimenSettings(packing=packing, assembly_diameter_nm=80.0), seed=1)
        spacing = 1.22 * 6.3
        pairs = cKDTree(made.centres_nm).query_pairs(1.5 * spacing, output_type="ndarray")
        apart = np.linalg.norm(np.diff(made.centres_nm[pairs], axis=1), axis=2) / spacing
        return float(np.mean((apart > 1.18) & (apart < 1.3)))

    assert second_shell(Packing.FCC) < 0.02 < 0.08 < second_shell(Packing.DISORDERED)


@pytest.mark.parametrize(
    ("profile", "least_nm", "least"), [("demo", 120, 2000), ("paper", 165, 7000)]
)
def test_profiles_hold_what_they_promise(profile: str, least_nm: float, least: int) -> None:
    content = tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"))
    settings = SimulatorSettings.model_validate(content)
    assert settings.specimen.assembly_diameter_nm >= least_nm
    assert len(make_assembly(settings.specimen, settings.seed)) >= least


def test_demo_has_the_physics_of_paper() -> None:
    demo, paper = (
        SimulatorSettings.model_validate(
            tomllib.loads((PROFILES / name).read_text(encoding="utf-8"))
        )
        for name in ("demo.toml", "paper.toml")
    )
    own = {"assembly_diameter_nm", "packing"}
    assert demo.specimen.model_dump(exclude=own) == paper.specimen.model_dump(exclude=own)
    assert demo.model_copy(update={"specimen": paper.specimen}) == paper


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sed": 1}, "sed"),
        ({"specimen": {"packing": "bcc"}}, "packing"),
        ({"specimen": {"flattening": 0.9}}, "flattening"),
        ({"optics": {"voltage_kV": 200.0}}, "tabulated for 300 kV"),
        ({"stage": {"jitter_nm": float("nan")}}, "jitter_nm"),
    ],
    ids=["unknown key", "unknown packing", "out of range", "no table for it", "not a number"],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SimulatorSettings.model_validate(wrong)
