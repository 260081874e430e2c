"""Images left out: why, and which are named in the warnings."""

from __future__ import annotations

import numpy as np

from processing.align.alignment import Alignment
from processing.pipeline.series_summary import left_out_images, series_warnings
from processing.results import LeftOut
from processing.series import TiltSeries

NUMBERS = (1, 2, 2, 3, 4)
"""Tilt 2 was recorded twice; tilt 3 was marked and is missing; tilt 4 does not fit."""
MARKED = np.array([False, True, False, True, False])
MISFIT = np.array([False, False, False, False, True])


def test_a_tilt_that_was_recorded_again_lacks_no_image() -> None:
    angles = np.array([0.0, 2.0, 2.0, 4.0, 6.0])
    series = TiltSeries(
        np.ones((5, 4, 4), np.float32), angles, 1.0, excluded=MARKED, tilt_numbers=NUMBERS
    )
    alignment = Alignment(np.zeros((5, 2)), 0.0, angles, MARKED | MISFIT, np.zeros(5))
    reasons = left_out_images(series, alignment, None)
    assert reasons == [None, LeftOut.RETAKEN, None, LeftOut.MARKED, LeftOut.MISFIT]
    assert series_warnings(series, reasons) == [
        "A#3 at +4.0 degrees left out, as marked",
        "A#4 at +6.0 degrees left out, it does not fit the other images",
    ]
