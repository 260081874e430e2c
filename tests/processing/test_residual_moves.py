"""Random factors of images in nearby tilts, and averages over nearby particles."""

from __future__ import annotations

import numpy as np

from processing.fit.residual_moves import average_nearby, joint_factors

TILTS_DEG = (-60.0, 0.0, 0.0, 30.0, 0.0)
SERIES = np.array([0, 0, 0, 0, 1])
RELATED = np.array(
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 1.0, 0.5, 0.0],
        [0.0, 1.0, 1.0, 0.5, 0.0],
        [0.0, 0.5, 0.5, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ]
)
"""Covariance of the factors."""
DRAWS = 20_000


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


def test_factors_are_related_by_the_angle_within_a_series() -> None:
    rng = np.random.default_rng(2)
    drawn = np.array([joint_factors(axes(TILTS_DEG), SERIES, rng) for _ in range(DRAWS)])
    np.testing.assert_allclose(drawn.T @ drawn / DRAWS, RELATED, atol=0.05)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.05)


def test_values_are_averaged_over_neighbours() -> None:
    centres = np.concatenate([np.zeros((20, 3)), np.full((20, 3), 100.0)])
    centres += np.random.default_rng(1).normal(size=centres.shape)
    found = average_nearby(np.repeat([1.0, 3.0], 20), centres)
    np.testing.assert_allclose(found, np.repeat([1.0, 3.0], 20))
    np.testing.assert_allclose(average_nearby(np.array([1.0, 3.0]), centres[:2]), 2.0)
