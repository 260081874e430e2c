"""Assemblies are found on a map, and the target among them after a flip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from processing.images.landmarks import Landmark, find_landmarks, rank_flipped

PIXEL_NM = 20.0
FOUR = ((40.0, -30.0), (700.0, 250.0), (-450.0, -650.0), (300.0, -900.0))


def landmarks(positions_nm: np.ndarray) -> list[Landmark]:
    near_first = positions_nm[np.argsort(np.linalg.norm(positions_nm, axis=1))]
    return [Landmark((float(x), float(y)), 165.0) for x, y in near_first]


def flipped(positions_nm: np.ndarray, phi_deg: float, shift_nm: tuple[float, float]) -> np.ndarray:
    c, s = np.cos(np.deg2rad(phi_deg)), np.sin(np.deg2rad(phi_deg))
    return positions_nm * (1, -1) @ np.array([[c, s], [-s, c]]) + shift_nm


@dataclass(frozen=True)
class Case:
    name: str
    positions_nm: tuple[tuple[float, float], ...]
    phi_deg: float
    shift_nm: tuple[float, float]


CASES = [
    Case("target in the middle", FOUR, 0.0, (0.0, 0.0)),
    Case("turned", FOUR, 71.0, (30.0, -60.0)),
    Case("another assembly in the middle", FOUR, -128.0, (-560.0, 480.0)),
    Case("turned by 180 degrees", FOUR, 180.0, (900.0, 100.0)),
    Case("three landmarks", FOUR[:3], 160.0, (-500.0, 300.0)),
    Case("target alone", FOUR[:1], 33.0, (800.0, -500.0)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_target_is_found_again(case: Case) -> None:
    rng = np.random.default_rng(1)
    positions_nm = np.array(case.positions_nm)
    after = flipped(positions_nm, case.phi_deg, case.shift_nm) + rng.normal(
        0, 8.0, positions_nm.shape
    )
    ranked = rank_flipped(landmarks(positions_nm), landmarks(after), 3 * PIXEL_NM)
    assert np.hypot(*(np.array(ranked[0].position_nm) - after[0])) < 1e-6
    assert len(ranked) == len(after)


def test_without_other_landmarks_the_nearest_to_the_centre_comes_first() -> None:
    after = landmarks(np.array([(500.0, 0.0), (-90.0, 20.0)]))
    assert rank_flipped(landmarks(np.array([(0.0, 0.0)])), after, 60.0)[0].position_nm == (
        -90.0,
        20.0,
    )
    assert rank_flipped([], after, 60.0) == after


def test_assemblies_on_a_noisy_film_are_found() -> None:
    y, x = (np.mgrid[:160, :160] - 79.5) * PIXEL_NM
    image = sum(np.hypot(x - u, y - v) < 82.0 for u, v in FOUR) * 40.0
    image = np.random.default_rng(2).poisson(ndimage.gaussian_filter(image, 0.5) + 3.0)
    found = find_landmarks(image, PIXEL_NM)
    assert len(found) == len(FOUR)
    expected = np.array(FOUR)[np.argsort(np.linalg.norm(FOUR, axis=1))]
    assert np.abs(np.array([one.position_nm for one in found]) - expected).max() < 0.5 * PIXEL_NM
    assert all(130.0 < one.diameter_nm < 220.0 for one in found)


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.full((64, 64), 9)], ids=["dark", "even"])
def test_an_empty_map_has_no_landmarks(image: np.ndarray) -> None:
    noise = np.random.default_rng(3).poisson(20.0, image.shape)
    assert find_landmarks(image, PIXEL_NM) == ()
    assert find_landmarks(image + noise, PIXEL_NM) == ()
