"""The calibration page compares confidences with the truth."""

from __future__ import annotations

import numpy as np

from processing.results import Trust
from tests.calibration.measure import Row, by_tenth, real_particles
from tests.calibration.page import line, page


def test_false_particles_are_told_from_real_ones() -> None:
    rng = np.random.default_rng(3)
    truth_nm = 8.0 * np.stack(np.meshgrid(*[np.arange(4.0)] * 3), -1).reshape(-1, 3)
    found_nm = truth_nm + rng.normal(0, 0.2, truth_nm.shape) + [0.5, -1.0, 0.2]
    found_nm[::16] += [0.0, 3.9, 0.0]
    real = real_particles(truth_nm, found_nm, 6.3)
    assert np.flatnonzero(~real).tolist() == list(range(0, 64, 16))


def test_the_page_shows_the_share_that_is_real_and_a_missed_interval() -> None:
    confidence = np.r_[np.full(90, 0.98), np.full(10, 0.55)]
    real = np.r_[np.full(88, True), np.full(8, False), np.full(4, True)]
    tenths = by_tenth(confidence, real)
    row = Row("fcc", 50, 6, 1, "A", 100, 92, 0.92, 90, 95, Trust.TRUSTED, "", tenths)
    text = page([row])
    assert "| 0.9 to 1.0 | 90 | 0.980 | 0.978 | -0.2 points (few) |" in text
    assert "| 0.5 to 0.6 | 10 | 0.550 | 0.400 | -15.0 points (few) |" in text
    assert "| trusted | 1 | 0 | 0.9200 |" in text
    assert "90 to 95 (**misses**)" in text
    assert line(row).startswith("!")
