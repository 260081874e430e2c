"""Assemblies are found on a map, and the target among them after a flip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from processing.images.landmarks import Landmark, find_landmarks, rank_flipped, shifts_by_moves

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


def recorded(
    electrons: np.ndarray | float, shape: tuple[int, int], seed: int, read_noise: float = 6.0
) -> np.ndarray:
    """Return counts of a detector with shot noise, 8 counts for each electron and a dark level."""
    rng = np.random.default_rng(seed)
    counts = 120 + 8 * rng.poisson(electrons, shape) + read_noise * rng.standard_normal(shape)
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("sphere", [3.0, 30.0, 300.0])
@pytest.mark.parametrize("film", [0.01, 0.1, 1.0])
def test_assemblies_on_a_film_of_few_counts_are_found_and_no_others(
    film: float, sphere: float
) -> None:
    shape, fine = (160, 160), 4
    y, x = (np.mgrid[: 160 * fine, : 160 * fine] - 80 * fine + 0.5) * PIXEL_NM / fine
    discs = sum(np.hypot(x - u, y - v) < 82.0 for u, v in FOUR)
    electrons = film + sphere * discs.reshape(160, fine, 160, fine).mean(axis=(1, 3))
    found = find_landmarks(recorded(electrons, shape, seed=2), PIXEL_NM)
    assert len(found) == len(FOUR)
    expected = np.array(FOUR)[np.argsort(np.linalg.norm(FOUR, axis=1))]
    assert np.abs(np.array([one.position_nm for one in found]) - expected).max() < PIXEL_NM
    assert all(130.0 < one.diameter_nm < 240.0 for one in found)


@pytest.mark.parametrize("read_noise", [0.0, 6.0])
@pytest.mark.parametrize("film", [0.002, 0.01, 0.1, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("side_px", [56, 160])
def test_noise_of_an_empty_map_is_no_assembly(side_px: int, film: float, read_noise: float) -> None:
    maps = (recorded(film, (side_px, side_px), seed, read_noise) for seed in range(4))
    assert [find_landmarks(each, PIXEL_NM) for each in maps] == [()] * 4


@pytest.mark.parametrize(
    ("brightest", "found"), [(20_000, 1), (300, 0)], ids=["an assembly in it", "noise"]
)
def test_a_single_bright_pixel_is_an_assembly_if_no_other_is_near_it(
    brightest: int, found: int
) -> None:
    image = recorded(1.0, (160, 160), seed=3)
    image[40, 70] = brightest
    assert len(find_landmarks(image, PIXEL_NM)) == found


@pytest.mark.parametrize("wrong", [2_000, 20_000, 65_535])
@pytest.mark.parametrize("sphere", [3.0, 30.0, 300.0])
def test_a_wrong_pixel_hides_no_assembly(sphere: float, wrong: int) -> None:
    y, x = (np.mgrid[:160, :160] - 79.5) * PIXEL_NM
    discs = sum(np.hypot(x - u, y - v) < 82.0 for u, v in FOUR)
    image = recorded(1.0 + sphere * discs, (160, 160), seed=5)
    image[20, 100] = wrong
    found = np.array([one.position_nm for one in find_landmarks(image, PIXEL_NM)])
    for position_nm in FOUR:
        assert np.linalg.norm(found - position_nm, axis=1).min() < PIXEL_NM


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.full((64, 64), 9)], ids=["dark", "even"])
def test_an_empty_map_has_no_landmarks(image: np.ndarray) -> None:
    noise = np.random.default_rng(3).poisson(20.0, image.shape)
    assert find_landmarks(image, PIXEL_NM) == ()
    assert find_landmarks(image + noise, PIXEL_NM) == ()


@pytest.mark.parametrize(
    ("stayed", "left", "first_nm", "second_nm", "found"),
    [
        pytest.param(FOUR, (), (300, 40), (-40, 300), True, id="all stay in view"),
        pytest.param(FOUR[:1], (), (-40, 300), (300, 40), True, id="one, a mirrored scan"),
        pytest.param(FOUR[:2], FOUR[2:], (-200, -220), (220, -200), True, id="two leave the view"),
        pytest.param(FOUR[:2], (), (150, 0), (0, 300), False, id="a shift of another length"),
        pytest.param(FOUR[:2], (), (300, 0), (280, 110), False, id="shifts not across each other"),
        pytest.param((), FOUR, (300, 0), (0, 300), False, id="all leave the view"),
    ],
)
def test_the_shifts_of_most_landmarks_are_found(
    stayed: tuple[tuple[float, float], ...],
    left: tuple[tuple[float, float], ...],
    first_nm: tuple[float, float],
    second_nm: tuple[float, float],
    found: bool,
) -> None:
    rng = np.random.default_rng(4)
    stayed_nm = np.array(stayed).reshape(-1, 2)
    moved_nm = [stayed_nm + np.sum(moves, axis=0) for moves in ([first_nm], [first_nm, second_nm])]
    maps = [np.array((*stayed, *left)), *moved_nm]
    seen = [landmarks(each + rng.normal(0, 3.0, each.shape)) for each in maps]
    shifts_nm = shifts_by_moves(seen, 300.0, 3 * PIXEL_NM)
    assert (shifts_nm is not None) is found
    assert shifts_nm is None or np.abs(shifts_nm - (first_nm, second_nm)).max() < 10.0


def test_shifts_that_explain_equally_many_landmarks_are_none() -> None:
    first, second, third = [(0, 0)], [(300, 0), (0, 300)], [(300, 300)]
    maps = [landmarks(np.array(each, float)) for each in (first, second, third)]
    assert shifts_by_moves(maps, 300.0, 60.0) is None
