"""The fit of the rule of wrong places finds the rule that made the places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.count.wrong_places import ExitRule, Places
from tests.calibration.fit import (
    by_series,
    confidences_left_out,
    fit_lattice,
    fit_rule,
    tenths,
)
from tests.calibration.places import Judged

RULE = ExitRule(limit=0.05, steepness=1.5, sharpening=5.0, by_chance=0.15, even=0.12, departure=3.0)
PARTICLES = 5000


def made_by(rule: ExitRule, seed: int, *, crystal: bool = False) -> Judged:
    """Return particles of which a share is real that is their confidence by a rule."""
    rng = np.random.default_rng(seed)
    sharpness, scatter = rng.uniform(0.2, 1, PARTICLES), rng.uniform(0.01, 0.15, PARTICLES)
    off_site = rng.uniform(0.05, 0.3, PARTICLES) if crystal else np.full(PARTICLES, np.nan)
    places = Places(np.zeros(PARTICLES), sharpness, scatter, off_site, 0.04, 2.0 + 0.3 * seed)
    one = Judged(f"specimen {seed}", f"series {seed}", np.ones(PARTICLES), places, np.zeros(0))
    real = rng.random(PARTICLES) < one.confidence(rule)
    return Judged(one.specimen, one.name, one.prior, places, real)


MEASURED = [made_by(RULE, seed) for seed in range(3)]


def test_the_fit_finds_the_rule() -> None:
    found = [one.confidence(fit_rule(MEASURED)) for one in MEASURED]
    wanted = [one.confidence(RULE) for one in MEASURED]
    assert np.abs(np.concatenate(found) - np.concatenate(wanted)).mean() < 0.02


def test_the_fit_finds_the_rule_of_the_lattice() -> None:
    crystals = [made_by(RULE, seed, crystal=True) for seed in range(3)]
    start = replace(RULE, even=0.2, departure=8.0)
    found = fit_lattice([*MEASURED, *crystals], start)
    assert found.even == pytest.approx(RULE.even, rel=0.05)
    assert found.departure == pytest.approx(RULE.departure, rel=0.1)
    assert replace(found, even=RULE.even, departure=RULE.departure) == RULE


def test_a_specimen_is_tested_by_the_rule_of_the_others() -> None:
    odd = made_by(RULE, 3)
    wrong = Judged(odd.specimen, odd.name, odd.prior, odd.places, np.zeros(PARTICLES, bool))
    left_out = confidences_left_out([*MEASURED, wrong])
    assert np.abs(left_out[-1] - odd.confidence(RULE)).mean() < 0.02
    assert "| 0.000 |" in by_series([wrong], left_out[-1:])[-1]


def test_tenths_have_the_errors_of_particles_and_of_specimens() -> None:
    right, wrong = (
        Judged(name, name, np.full(50, 0.75), MEASURED[0].places.select(np.zeros(50, int)), real)
        for name, real in (("a", np.ones(50, bool)), ("b", np.zeros(50, bool)))
    )
    row = tenths([right, wrong], [right.prior, wrong.prior])[-1]
    assert row == "| 0.7 to 0.8 | 100 | 0.750 | 0.500 | -25.0 | 4.3, 39.5 |"
