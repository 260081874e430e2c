"""The advice on a second series gives the number of particles that it would settle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from processing.count.second_series import second_series_line


@dataclass(frozen=True)
class Case:
    name: str
    confidence: np.ndarray
    line: str


CASES = [
    Case(
        "all certain",
        np.full(400, 0.999),
        "a second series would add nothing: all 400 places are certain",
    ),
    Case(
        "one in doubt",
        np.r_[np.ones(99), 0.2],
        "a second series would settle the places of about 1 of 100 particles",
    ),
    Case(
        "an exit side in doubt",
        np.r_[np.full(6800, 0.9999), np.full(324, 0.05)],
        "a second series would settle the places of about 310 of 7124 particles",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_expected_number_is_told_to_two_digits(case: Case) -> None:
    assert second_series_line(case.confidence) == case.line
