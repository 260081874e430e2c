"""Standard errors of positions are held against the truth of a small simulated specimen."""

from __future__ import annotations

import pytest

from simulator.settings import Packing
from tests.accuracy.position_errors import TOLERATED, measure, total_ratio


def test_the_standard_errors_of_one_series_and_of_both_are_those_of_the_truth() -> None:
    found = measure(Packing.FCC, assembly_nm=50.0, dwell_us=5.0, seed=51, every=2)
    ratios = {name: total_ratio(errors) for name, errors in found.items()}
    assert ratios == pytest.approx(dict.fromkeys(("A", "B", "both"), 1.0), abs=TOLERATED)
