"""Sums of values between the points of a grid, against SciPy's."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from processing.shapes.spline_sums import spline_sums


def test_sums_are_those_of_scipy_within_the_grid_and_beyond() -> None:
    rng = np.random.default_rng(3)
    coefficients = ndimage.spline_filter(rng.normal(size=(9, 9, 9)), 3)
    places = rng.uniform(-1.5, 9.5, (40, 7, 3))
    values = ndimage.map_coordinates(
        coefficients, places.reshape(-1, 3).T, order=3, prefilter=False, mode="nearest"
    )
    np.testing.assert_allclose(
        spline_sums(coefficients, places), values.reshape(40, 7).sum(axis=1), rtol=1e-9, atol=1e-9
    )
