"""The fit of the rule of wrong places finds the rule that made the places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from processing import ProcessSettings, process_series
from processing.count.wrong_places import CHANCES, ExitRule, Places
from processing.results import Count
from simulator.settings import Packing
from tests.calibration.cases import Case
from tests.calibration.corpus import case_of
from tests.calibration.fit import fit_grains, fit_lattice, fit_rule, fit_shares, rules_left_out
from tests.calibration.left_out import by_series, count_error, joint_chance, left_out_part, tenths
from tests.calibration.page import left_out_of, with_left_out
from tests.calibration.places import Judged, judged_case
from tests.support.recorded import as_read

RULE = ExitRule(
    limit=0.05,
    steepness=1.5,
    sharpening=5.0,
    by_chance=0.15,
    even=0.2,
    distance_se=0.03,
    shares=CHANCES,
    crystal_shares=CHANCES,
)
PARTICLES = 5000


def made_by(rule: ExitRule, seed: int, *, sites: str = "none") -> Judged:
    """Return particles of which a share is real that is their confidence by a rule.

    They are in no lattice, in a single crystal or in several grains.
    """
    rng = np.random.default_rng(seed)
    known = sites != "none"
    places = Places(
        place_error=np.zeros(PARTICLES),
        sharpness=rng.uniform(0.2, 1, PARTICLES),
        scatter=rng.uniform(0.01, 0.15, PARTICLES),
        off_site=rng.uniform(0.05, 0.3, PARTICLES) if known else np.full(PARTICLES, np.nan),
        in_grains=sites == "grains",
        usual_scatter=0.04,
        step=2.0 + 0.3 * seed,
    )
    one = judged(f"specimen {seed}", np.ones(PARTICLES), places, np.zeros(PARTICLES, bool))
    return replace(one, real=rng.random(PARTICLES) < one.confidence(rule))


def judged(
    specimen: str, prior: np.ndarray, places: Places, real: np.ndarray, series: str = "A"
) -> Judged:
    n = len(prior)
    count = Count(n=n, n_low=n, n_high=n)
    return Judged(specimen, f"{specimen}, {series}", prior, 0.0, places, places, real, n, count)


MEASURED = [made_by(RULE, seed) for seed in range(3)]


def test_the_fit_finds_the_rule() -> None:
    found = [one.confidence(fit_rule(MEASURED)) for one in MEASURED]
    wanted = [one.confidence(RULE) for one in MEASURED]
    assert np.abs(np.concatenate(found) - np.concatenate(wanted)).mean() < 0.02


def test_the_fit_finds_the_shares_of_wrong_places() -> None:
    wanted = replace(
        RULE, shares=(0.1, 0.3, 0.6, 0.8, 0.95), crystal_shares=(0.25, 0.35, 0.5, 0.7, 0.85)
    )
    crystals, others = (
        [made_by(wanted, seed, sites=sites) for seed in range(6)] for sites in ("crystal", "none")
    )
    found = fit_shares(crystals, others, RULE)
    assert found.shares == pytest.approx(wanted.shares, abs=0.03)
    # few places of these crystals are in doubt
    assert found.crystal_shares == pytest.approx(wanted.crystal_shares, abs=0.06)


def test_the_fit_finds_the_rule_of_the_lattice() -> None:
    crystals = [made_by(RULE, seed, sites="crystal") for seed in range(3)]
    start = replace(RULE, even=0.25, distance_se=0.015)
    found = fit_lattice([*MEASURED, *crystals], start)
    assert found.even == pytest.approx(RULE.even, rel=0.02)
    assert found.distance_se == pytest.approx(RULE.distance_se, rel=0.1)
    assert found.filled == pytest.approx(RULE.filled)
    assert replace(found, even=RULE.even, distance_se=RULE.distance_se, filled=RULE.filled) == RULE


def test_the_fit_finds_the_rule_of_several_grains() -> None:
    wanted = replace(RULE, grain_even=0.19, grain_se=0.04, grain_filled=0.1, grain_beside=0.2)
    grains = [made_by(wanted, seed, sites="grains") for seed in range(3)]
    found = fit_grains(grains, RULE)
    assert found.grain_even == pytest.approx(wanted.grain_even, rel=0.03)
    assert found.grain_se == pytest.approx(wanted.grain_se, rel=0.15)
    assert found.grain_filled == pytest.approx(wanted.grain_filled, rel=0.3)
    assert found.grain_beside == pytest.approx(wanted.grain_beside, rel=0.3)
    assert fit_rule([*MEASURED, *grains]).grain_even == pytest.approx(wanted.grain_even, rel=0.03)


@pytest.mark.parametrize("sites", ["none", "crystal", "grains"])
def test_a_specimen_is_tested_by_the_rule_of_the_others(sites: str) -> None:
    others = [made_by(RULE, seed, sites=sites) for seed in range(3)]
    odd = made_by(RULE, 3, sites=sites)
    wrong = replace(odd, real=np.zeros(PARTICLES, bool))
    rule = rules_left_out([*MEASURED, *others, wrong])[odd.specimen]
    without = fit_rule([*MEASURED, *others])
    assert np.abs(odd.confidence(rule) - odd.confidence(without)).mean() < 0.02
    assert "| 0.000 |" in by_series([wrong], [rule])[-1]


NOWHERE = MEASURED[0].places.select(np.zeros(50, int))


def test_tenths_have_the_errors_of_particles_and_of_specimens() -> None:
    right, wrong = (
        judged(name, np.full(50, 0.75), NOWHERE, real)
        for name, real in (("a", np.ones(50, bool)), ("b", np.zeros(50, bool)))
    )
    row = tenths([right, wrong], [right.prior, wrong.prior])[-1]
    assert row == "| 0.7 to 0.8 | 100 | 0.750 | 0.500 | -25.0 | 4.3, 39.5 |"


def test_crystals_others_and_two_series_have_their_own_table() -> None:
    real = np.ones(50, bool)
    on_site = replace(NOWHERE, off_site=np.zeros(50))
    cases = (("a", NOWHERE, "A"), ("b", on_site, "A"), ("a", NOWHERE, "A and B"))
    half = np.full(50, 0.5)
    each = [judged(name, half, places, real, series) for name, places, series in cases]
    part = left_out_part(each, [RULE] * 3)
    titles = [line.removeprefix("### ") for line in part.splitlines() if line.startswith("###")]
    assert titles == [
        "One series: counts 2, specimens 2",
        "One series of a single crystal: counts 1, specimens 1",
        "One series of no single crystal: counts 1, specimens 1",
        "Two series: counts 1, specimens 1",
    ]


def test_the_tables_replace_those_of_an_earlier_run() -> None:
    page = "# Calibration\n\nText.\n"
    first, second = (left_out_part([one], [RULE]) for one in MEASURED[:2])
    assert with_left_out(with_left_out(page, first), second) == with_left_out(page, second)
    assert with_left_out(page, left_out_of(with_left_out(page, first))) == with_left_out(
        page, first
    )
    assert with_left_out(page, first).startswith("# Calibration\n\nText.\n\n## ")


@pytest.mark.parametrize("too_high", [False, True], ids=["right rule", "too confident"])
def test_tenths_together_tell_a_wrong_rule_from_specimens(too_high: bool) -> None:
    rng = np.random.default_rng(5)
    many = [made_by(RULE, seed) for seed in range(20)]
    if too_high:
        many = [replace(one, real=one.real & (rng.random(PARTICLES) < 0.9)) for one in many]
    chance = joint_chance(many, [one.confidence(RULE) for one in many])
    assert chance is not None and (chance < 0.001) == too_high
    assert joint_chance(many[:3], [one.confidence(RULE) for one in many[:3]]) is None


@pytest.mark.parametrize(("more", "error"), [(1.0, 0.0), (1.3, 0.3)], ids=["as expected", "more"])
def test_the_error_of_specimens_is_that_of_the_number_of_wrong_places(
    more: float, error: float
) -> None:
    one = MEASURED[0]
    chance = 1 - one.confidence(RULE)
    wrong = np.arange(PARTICLES) < more * chance.sum()
    assert count_error([replace(one, real=~wrong)], [RULE]) == pytest.approx(error, abs=0.03)


@pytest.mark.parametrize(
    ("doubts", "wrong", "confidence"),
    [(0.0, 0.0, 1.0), (0.1, 0.0, 0.9), (0.1, 0.5, 0.5)],
    ids=["none", "doubts of all particles", "wrong places that explain the doubts"],
)
def test_doubts_count_beyond_wrong_places_only(
    doubts: float, wrong: float, confidence: float
) -> None:
    places = replace(NOWHERE, off_site=np.full(50, 0.0 if not wrong else RULE.even))
    particles = judged("a", np.ones(50), places, np.ones(50, bool))
    found = replace(particles, doubts=doubts).confidence(RULE)
    assert found == pytest.approx(np.full(50, confidence), abs=0.01)


def test_stored_particles_have_the_confidences_of_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case(45.0, Packing.DISORDERED, 40.0, 1)
    stored = judged_case(case, ["A"])[0]
    series = as_read(case.record().a, case.pixel_nm, "A")
    table = process_series(series, ProcessSettings()).detection.table
    assert stored.confidence(ExitRule()) == pytest.approx(table.confidence, abs=1e-9)
    assert table.confidence.min() < 0.95


def test_a_series_that_is_not_in_the_corpus_is_named() -> None:
    case, series = case_of("faulted 165 nm, seed 513, 6 degrees, B")
    assert (case.series_name(series), case.packing) == (
        "faulted 165 nm, seed 513, 6 degrees, B",
        Packing.FAULTED,
    )
    with pytest.raises(ValueError, match="fcc 75 nm, seed 0"):
        case_of("fcc 75 nm, seed 0, 4 degrees, A")
