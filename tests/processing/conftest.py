"""Small tilt series as files, for the verbs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.processing.small_stacks import write_stack
from tests.support.spheres import packed


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    points = packed(18, 8.6, order="fcc", seed=3) + np.array([1.0, -0.8, 0.5])
    points = points + np.random.default_rng(3).normal(0, 0.2, points.shape)
    return points[points[:, 2] < 13]


@pytest.fixture(scope="module")
def stacks(points: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A, a correct B, a B with mirrored scan, and another object."""
    folder = tmp_path_factory.mktemp("stacks")
    write_stack(folder, "A", points)
    write_stack(folder, "B", points * [1, -1, -1])
    write_stack(folder, "mirrored", points * [-1, -1, -1])
    write_stack(folder, "other", packed(18, 8.6, order="disordered", seed=8))
    return folder
