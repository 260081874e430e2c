"""Scatter of positions by forces that last from tilt to tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from processing.fit.scatter import average_nearby, squared_scatter, view_weights

SECOND = np.array([0, 0, 0, 1])


@dataclass(frozen=True)
class Forces:
    name: str
    tilts_deg: tuple[float, ...]
    along_x: tuple[float, ...]
    variance: float


FORCES = [
    Forces("far apart", (-60.0, 0.0, 60.0), (1.0, 1.0, 1.0), 3.0),
    Forces("together", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 9.0),
    Forces("against one another", (0.0, 0.0), (1.0, -1.0), 0.0),
    Forces("half together", (0.0, 30.0), (1.0, 1.0), 3.0),
]


def axes(tilts_deg: tuple[float, ...]) -> np.ndarray:
    """Return the axes of views tilted about y, in pixels of 2 nm."""
    angles = np.deg2rad(tilts_deg)
    zero = np.zeros_like(angles)
    rows = [
        [zero, zero + 1, zero],
        [np.cos(angles), zero, np.sin(angles)],
        [-np.sin(angles), zero, np.cos(angles)],
    ]
    return np.moveaxis(np.array(rows), -1, 0) / 2.0


@pytest.mark.parametrize("case", FORCES, ids=lambda case: case.name)
def test_forces_that_last_scatter_more(case: Forces) -> None:
    forces = np.zeros((len(case.tilts_deg), 1, 3), np.float32)
    forces[:, 0, 0] = case.along_x
    weights = view_weights(axes(case.tilts_deg), np.zeros(len(forces), np.int64))
    inverse = np.diag([2.0, 1.0, 1.0])[None]
    [found] = squared_scatter(forces, weights, inverse)
    assert found == pytest.approx(4 * case.variance, abs=1e-5)


def test_forces_of_two_series_are_independent() -> None:
    weights = view_weights(axes((0.0, 0.0, 0.0, 0.0)), SECOND)
    np.testing.assert_allclose(weights, SECOND[:, None] == SECOND)


def test_the_scatter_is_averaged_over_neighbours() -> None:
    centres = np.concatenate([np.zeros((20, 3)), np.full((20, 3), 100.0)])
    centres += np.random.default_rng(1).normal(size=centres.shape)
    found = average_nearby(np.repeat([1.0, 3.0], 20), centres)
    np.testing.assert_allclose(found, np.repeat([1.0, 3.0], 20))
    np.testing.assert_allclose(average_nearby(np.array([1.0, 3.0]), centres[:2]), 2.0)
