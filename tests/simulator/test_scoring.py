"""Scoring: finds the rigid fit, counts matches, rejects lattice jumps and mirrors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simulator.scoring import score_tables, write_accuracy
from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import Particles, make_assembly
from simulator.truth import read_particles, write_particles
from simulator.world import new_world, save_world
from tests.simulator.specimens import small_settings

Array = NDArray[np.float64]
ROTATION = Rotation.from_euler("xyz", [1.5, -1.0, 1.2], degrees=True)
SHIFT_NM = np.array([6.0, -4.0, 7.0])


def _truth(packing: Packing) -> Particles:
    return make_assembly(SpecimenSettings(packing=packing, assembly_diameter_nm=100.0), seed=1)


def _found(truth: Particles, lost_below_nm: float, false: int, seed: int = 0) -> Array:
    """Return centres in another frame, 0.25 nm of error, half of those below a height lost."""
    rng = np.random.default_rng(seed)
    centres = truth.centres_nm
    kept = (centres[:, 2] > lost_below_nm) | (rng.random(len(centres)) < 0.5)
    noisy = centres[kept] + rng.normal(0.0, 0.25, (kept.sum(), 3))
    everything = np.vstack([noisy, rng.uniform(-40.0, 40.0, (false, 3))])
    return np.asarray(ROTATION.apply(everything - SHIFT_NM))


@pytest.mark.parametrize("packing", Packing, ids=lambda packing: packing.value)
def test_fit_is_found_despite_missed_and_false_particles(packing: Packing) -> None:
    truth = _truth(packing)
    found = _found(truth, lost_below_nm=-15.0, false=60)
    score = score_tables(truth, {"A": found}).tables["A"]
    assert score.failure is None
    assert score.recall == pytest.approx((len(found) - 60) / len(truth), abs=0.01)
    assert score.precision == pytest.approx(1.0 - 60 / len(found), abs=0.015)
    assert score.rms_nm == pytest.approx((0.25, 0.25, 0.25), abs=0.03)
    assert score.recall_by_depth[0] == pytest.approx(0.5, abs=0.08)
    assert score.recall_by_depth[2] > 0.99
    assert score.fit_turn_deg == pytest.approx(np.rad2deg(ROTATION.magnitude()), abs=0.1)


def _jumped(truth: Particles, found: Array) -> Array:
    centre = truth.centres_nm[len(truth) // 2]
    neighbour = truth.centres_nm[cKDTree(truth.centres_nm).query(centre, 2)[1][1]]
    return np.asarray(found + ROTATION.apply(neighbour - centre))


@dataclass(frozen=True)
class Failing:
    """Table B that must fail beside a good table."""

    name: str
    spoil: Callable[[Particles, Array], Array]


FAILING = (
    Failing("lattice jump", _jumped),
    Failing("mirror", lambda truth, found: found * [1.0, 1.0, -1.0]),
    Failing("rotated by 180 degrees", lambda truth, found: found * [-1.0, -1.0, 1.0]),
    Failing("scaled", lambda truth, found: found * 1.08),
    Failing("empty", lambda truth, found: found[:0]),
)


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.DISORDERED], ids=lambda p: p.value)
@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_wrong_table_fails_beside_a_good_one(case: Failing, packing: Packing) -> None:
    truth = _truth(packing)
    good = _found(truth, lost_below_nm=-1e9, false=5)
    bad = case.spoil(truth, _found(truth, lost_below_nm=-15.0, false=5, seed=1))
    tables = score_tables(truth, {"B": bad, "fused": good}).tables
    assert tables["fused"].f1 > 0.99
    assert tables["B"].f1 < 0.6
    if case.name == "lattice jump":
        assert tables["B"].matched == 0 and "lattice jump" in (tables["B"].failure or "")


def test_particle_found_twice_counts_once() -> None:
    truth = _truth(Packing.DISORDERED)
    twice = np.vstack([truth.centres_nm, truth.centres_nm[:50] + 0.3])
    score = score_tables(truth, {"A": twice}).tables["A"]
    assert (score.found, score.matched) == (len(truth) + 50, len(truth))


def test_session_folder_is_scored_against_its_saved_world(tmp_path: Path) -> None:
    settings = small_settings(specimen={"shrinkage": 0.02})
    world = new_world(settings)
    shares = (1.0, *world.mean_deformation_as_loaded[1:])
    shrunk = world.model_copy(update={"mean_deformation_as_loaded": shares})
    (tmp_path / "simulator").mkdir()
    (tmp_path / "processed").mkdir()
    save_world(shrunk, tmp_path / "simulator" / "world.json")
    assembly = make_assembly(settings.specimen, settings.seed)
    table = Particles(assembly.centres_nm[5:] * 0.98, assembly.diameters_nm[5:])
    write_particles(table, tmp_path / "processed" / "particles_fused.csv")

    accuracy = write_accuracy(tmp_path)

    assert (tmp_path / "accuracy.json").exists()
    assert accuracy.n_truth == len(assembly)
    fused = accuracy.tables["fused"]
    assert fused.recall == pytest.approx(1 - 5 / len(assembly)) and fused.precision == 1.0
    assert fused.rms_nm == pytest.approx((0.0, 0.0, 0.0), abs=1e-3)
    (tmp_path / "simulator" / "world.json").unlink()  # truth.csv is used then
    assert write_accuracy(tmp_path) == accuracy


def test_particles_beside_the_object_are_not_scored(tmp_path: Path) -> None:
    columns = "id,x_nm,y_nm,z_nm,diameter_nm,confidence,beside\n"
    (tmp_path / "p.csv").write_text(columns + "1,1,2,3,6.3,1,false\n2,50,2,3,6.3,1,true\n")
    assert read_particles(tmp_path / "p.csv").centres_nm.tolist() == [[1.0, 2.0, 3.0]]


def test_missing_truth_or_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no truth"):
        write_accuracy(tmp_path)
    write_particles(_truth(Packing.FCC), tmp_path / "truth.csv")
    with pytest.raises(ValueError, match="no particles_"):
        write_accuracy(tmp_path)
