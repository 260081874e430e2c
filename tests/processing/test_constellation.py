"""Targets found again after a flip from their positions: mirrored, turned, shifted, incomplete."""

from __future__ import annotations

import numpy as np
import pytest

from processing.images.constellation import find_constellation
from processing.images.placement import MIRROR, Recognised, Side, narrow

TOLERANCE_NM = 100.0
SIX = np.array(
    [[0.0, 0.0], [2100, 300], [-1500, 1900], [900, -2400], [-2300, -700], [3000, 2600]], float
)
MIRROR_SYMMETRIC = np.array([[0.0, 1000.0], [0.0, -1000.0], [2000.0, 0.0]])


def put_back(
    before_nm: np.ndarray, angle_deg: float, shift_nm: tuple[float, float], *, flipped: bool
) -> np.ndarray:
    """Return positions as the operator's action moves them."""
    angle = np.radians(angle_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (before_nm * MIRROR if flipped else before_nm) @ rotation.T + shift_nm


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("flipped", [True, False], ids=["flipped", "turned in the plane"])
@pytest.mark.parametrize(
    ("lost", "others"),
    [
        pytest.param([], 0, id="all seen"),
        pytest.param([3], 0, id="one missing"),
        pytest.param([0, 5], 8, id="two missing, eight others in view"),
    ],
)
def test_each_target_is_found_where_it_is(
    lost: list[int], others: int, flipped: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    angle_deg, shift_nm = rng.uniform(-180, 180), tuple(rng.uniform(-1500, 1500, 2))
    true_nm = put_back(SIX, angle_deg, shift_nm, flipped=flipped)
    seen_nm = np.delete(true_nm, lost, axis=0) + rng.normal(0, 15, (6 - len(lost), 2))
    seen_nm = np.vstack([seen_nm, rng.uniform(-5000, 5000, (others, 2))])
    found = find_constellation(SIX, rng.permutation(seen_nm), TOLERANCE_NM)
    assert found.side is (Side.FLIPPED if flipped else Side.SAME_SIDE)
    assert found.best is not None
    off_deg = (found.best.angle_deg - angle_deg + 180) % 360 - 180
    assert abs(off_deg) < 1.5
    for (only_nm,), expected_nm in zip(found.candidates_nm, true_nm, strict=True):
        assert np.hypot(*(np.array(only_nm) - expected_nm)) < 80


@pytest.mark.parametrize(
    "before_nm",
    [
        pytest.param(SIX[1:3], id="two targets"),
        pytest.param(np.array([[0.0, 0.0], [1500, 0], [4000, 0]]), id="on a line"),
        pytest.param(MIRROR_SYMMETRIC, id="their own mirror image"),
    ],
)
def test_a_set_that_cannot_tell_the_side_has_the_true_place_among_its_candidates(
    before_nm: np.ndarray,
) -> None:
    true_nm = put_back(before_nm, 70.0, (300.0, -400.0), flipped=True)
    found = find_constellation(before_nm, true_nm[::-1], TOLERANCE_NM)
    assert found.side is Side.UNCLEAR
    for candidates_nm, expected_nm in zip(found.candidates_nm, true_nm, strict=True):
        assert min(np.hypot(*(np.array(c) - expected_nm)) for c in candidates_nm) < TOLERANCE_NM


@pytest.mark.parametrize("angle_deg", [70.0, -110.0, 3.0])
@pytest.mark.parametrize(
    ("place_of", "image_error_deg", "finds"),
    [
        pytest.param(0, 0.0, True, id="recognised at its own place"),
        pytest.param(0, 4.0, True, id="with an error of its angle"),
        pytest.param(1, 0.0, False, id="at the place of one that looks like it"),
        pytest.param(0, 40.0, False, id="another crystal at its place"),
    ],
)
def test_a_target_recognised_by_its_images_tells_the_places_of_the_others(
    place_of: int, image_error_deg: float, finds: bool, angle_deg: float
) -> None:
    before_nm = SIX[1:3]
    true_nm = put_back(before_nm, angle_deg, (300.0, -400.0), flipped=True)
    seen_nm = true_nm[::-1]
    unclear = find_constellation(before_nm, seen_nm, TOLERANCE_NM)
    x_nm, y_nm = true_nm[place_of]
    recognised = Recognised(0, (float(x_nm), float(y_nm)), angle_deg + image_error_deg)
    found = narrow(unclear, recognised, before_nm, seen_nm, TOLERANCE_NM)
    assert (found is not None) is finds
    if found is not None:
        assert found.side is Side.FLIPPED and found.has_one_angle
        for (only_nm,), expected_nm in zip(found.candidates_nm, true_nm, strict=True):
            assert np.hypot(*(np.array(only_nm) - expected_nm)) < TOLERANCE_NM


def test_the_middle_one_of_a_line_tells_the_others_by_its_angle_alone() -> None:
    before_nm = np.array([[-1500.0, 0.0], [0.0, 0.0], [1500.0, 0.0]])
    true_nm = put_back(before_nm, 25.0, (200.0, 100.0), flipped=True)
    unclear = find_constellation(before_nm, true_nm, TOLERANCE_NM)
    assert unclear.side is Side.UNCLEAR and not unclear.has_one_angle
    middle = Recognised(1, (float(true_nm[1, 0]), float(true_nm[1, 1])), 25.0)
    found = narrow(unclear, middle, before_nm, true_nm, TOLERANCE_NM)
    assert found is not None
    np.testing.assert_allclose(np.array(found.candidates_nm)[:, 0], true_nm, atol=1.0)


def test_a_single_target_has_the_positions_at_its_distance_as_candidates() -> None:
    after_nm = np.array([[100.0, 0.0], [0.0, -2150.0], [4000.0, 4000.0]])
    found = find_constellation(SIX[1:2], after_nm, TOLERANCE_NM)
    assert found.side is Side.UNCLEAR
    assert found.candidates_nm[0][0] == (0.0, -2150.0)


@pytest.mark.parametrize(
    "after_nm",
    [
        pytest.param(np.empty((0, 2)), id="nothing in view"),
        pytest.param(SIX * [1.0, 1.7] + 50.0, id="another magnification"),
    ],
)
def test_targets_that_are_not_there_are_lost(after_nm: np.ndarray) -> None:
    found = find_constellation(SIX, after_nm, TOLERANCE_NM)
    assert found.side is Side.LOST
    assert found.candidates_nm == ((),) * 6


def test_thirty_targets_among_thirty_others_are_found() -> None:
    rng = np.random.default_rng(8)
    before_nm = rng.uniform(-20_000, 20_000, (30, 2))
    true_nm = put_back(before_nm, -35.0, (900.0, 100.0), flipped=True)
    others_nm = rng.uniform(-25_000, 25_000, (30, 2))
    found = find_constellation(before_nm, np.vstack([others_nm, true_nm[5:]]), TOLERANCE_NM)
    assert found.side is Side.FLIPPED
    assert found.best is not None and len(found.best.matches) >= 25
