"""Rotation that the targets of a grid have in common, and those that deviate from it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from processing.combine.common_rotation import find_common_rotation
from processing.combine.pose import FLIP

IN_PLANE_DEG, SEAT_DEG = 144.0, (1.6, -0.9)
SPREAD_DEG = 0.1


def from_b_to_a(in_plane_deg: float, seat_x_deg: float, seat_y_deg: float) -> np.ndarray:
    """Return the rotation that a registration finds after this flip."""
    seat = Rotation.from_euler("xy", [seat_x_deg, seat_y_deg], degrees=True)
    turn = Rotation.from_euler("z", in_plane_deg, degrees=True)
    return np.asarray(((turn * seat).as_matrix() @ FLIP).T)


def targets(number: int, seed: int = 3) -> list[np.ndarray]:
    """Return rotations of targets on one grid, each with its own error."""
    errors = np.random.default_rng(seed).normal(0, SPREAD_DEG, (number, 3))
    return [from_b_to_a(*(np.array([IN_PLANE_DEG, *SEAT_DEG]) + error)) for error in errors]


@pytest.mark.parametrize(
    ("others", "agrees"),
    [
        pytest.param([], "yyyyy", id="all alike"),
        pytest.param([from_b_to_a(141.0, *SEAT_DEG)], "yyyyyn", id="3 degrees more in the plane"),
        pytest.param([from_b_to_a(144.0, 1.6, 1.1)], "yyyyyn", id="tilted 2 degrees otherwise"),
        pytest.param([from_b_to_a(-36.0, *SEAT_DEG)], "yyyyyn", id="turned round"),
        pytest.param(
            [from_b_to_a(20.0, 0.0, 0.0), from_b_to_a(-90.0, 2.0, 0.0)], "yyyyynn", id="two others"
        ),
    ],
)
def test_targets_off_the_common_rotation_are_found(others: list[np.ndarray], agrees: str) -> None:
    common = find_common_rotation([*targets(5), *others])
    assert common is not None
    assert "".join("y" if each else "n" for each in common.agrees) == agrees
    assert common.in_plane_deg == pytest.approx(IN_PLANE_DEG, abs=0.3)
    assert common.seat_tilt_deg == pytest.approx(np.hypot(*SEAT_DEG), abs=0.3)


@pytest.mark.parametrize(
    "matrices",
    [
        pytest.param([], id="none"),
        pytest.param(targets(2), id="two"),
        pytest.param([*targets(2), from_b_to_a(20.0, 0.0, 0.0)], id="two of three"),
        pytest.param(
            [*targets(3), *(from_b_to_a(angle, 0.0, 0.0) for angle in (10.0, 50.0, 90.0))],
            id="half of six",
        ),
    ],
)
def test_without_a_majority_of_three_no_rotation_is_the_common_one(
    matrices: list[np.ndarray],
) -> None:
    assert find_common_rotation(matrices) is None
