"""Assemblies: particle number, density and flat side as in the real ones."""

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
class Density:
    """Expected ranges for a packing of the paper's size."""

    packing: Packing
    count: tuple[int, int]
    fill: tuple[float, float]
    """Volume fraction of gold in the spherical envelope."""
    neighbour: tuple[float, float]
    """Mean nearest-neighbour distance, divided by the particle diameter."""


PACKINGS = (
    Density(Packing.FCC, (7000, 7250), (0.39, 0.40), (1.15, 1.25)),
    Density(Packing.MULTI_GRAIN, (6400, 7100), (0.35, 0.40), (1.15, 1.25)),
    # a random packing is about 20 % less dense than a crystal with the same contact distance
    Density(Packing.DISORDERED, (5300, 5900), (0.29, 0.33), (1.15, 1.25)),
)


@pytest.mark.parametrize("case", PACKINGS, ids=lambda case: case.packing.value)
def test_packing_is_dense_without_overlaps(case: Density) -> None:
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
def test_flat_side_faces_the_source(packing: Packing) -> None:
    made = make_assembly(SpecimenSettings(packing=packing, assembly_diameter_nm=100.0), seed=1)
    height = made.centres_nm[:, 2]
    assert height.max() == pytest.approx(40.0, abs=1.5)
    assert height.min() == pytest.approx(-50.0, abs=3.0)
    assert (height > height.max() - 6.0).sum() > 2 * (height < height.min() + 6.0).sum()


@pytest.mark.parametrize("packing", Packing, ids=lambda packing: packing.value)
def test_seed_determines_the_assembly(packing: Packing) -> None:
    settings = SpecimenSettings(packing=packing, assembly_diameter_nm=60.0)
    first, again, other = (make_assembly(settings, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.centres_nm, again.centres_nm)
    assert not np.array_equal(first.centres_nm[:10], other.centres_nm[:10])


def test_only_the_disordered_packing_has_pairs_below_the_second_shell() -> None:
    def fraction_between_shells(packing: Packing) -> float:
        """Return the fraction of pairs at 1.18 to 1.3 spacings, among pairs up to 1.5 spacings."""
        made = make_assembly(SpecimenSettings(packing=packing, assembly_diameter_nm=80.0), seed=1)
        spacing = 1.22 * 6.3
        pairs = cKDTree(made.centres_nm).query_pairs(1.5 * spacing, output_type="ndarray")
        apart = np.linalg.norm(np.diff(made.centres_nm[pairs], axis=1), axis=2) / spacing
        return float(np.mean((apart > 1.18) & (apart < 1.3)))

    crystal, disordered = (
        fraction_between_shells(packing) for packing in (Packing.FCC, Packing.DISORDERED)
    )
    assert crystal < 0.02 < 0.08 < disordered


@pytest.mark.parametrize(
    ("profile", "min_diameter_nm", "min_particles"), [("demo", 120, 2000), ("paper", 165, 7000)]
)
def test_profiles_have_the_promised_size(
    profile: str, min_diameter_nm: float, min_particles: int
) -> None:
    content = tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"))
    settings = SimulatorSettings.model_validate(content)
    assert settings.specimen.assembly_diameter_nm >= min_diameter_nm
    assert len(make_assembly(settings.specimen, settings.seed)) >= min_particles


def test_demo_and_paper_differ_in_size_and_packing_only() -> None:
    demo, paper = (
        SimulatorSettings.model_validate(
            tomllib.loads((PROFILES / name).read_text(encoding="utf-8"))
        )
        for name in ("demo.toml", "paper.toml")
    )
    differing = {"assembly_diameter_nm", "packing"}
    assert demo.specimen.model_dump(exclude=differing) == paper.specimen.model_dump(
        exclude=differing
    )
    assert demo.model_copy(update={"specimen": paper.specimen}) == paper


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"sed": 1}, "sed"),
        ({"specimen": {"packing": "bcc"}}, "packing"),
        ({"specimen": {"flattening": 0.9}}, "flattening"),
        ({"optics": {"voltage_kV": 200.0}}, "tabulated for 300 kV"),
        ({"stage": {"jitter_nm": float("nan")}}, "jitter_nm"),
    ],
    ids=["unknown key", "unknown packing", "out of range", "no scattering table", "not a number"],
)
def test_wrong_settings_are_refused_and_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        SimulatorSettings.model_validate(wrong)
