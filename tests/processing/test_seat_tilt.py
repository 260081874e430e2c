"""Seat tilt from heights: the plane, its error, and targets that are off it."""

from __future__ import annotations

import numpy as np
import pytest

from processing.images.seat_tilt import FEWEST, SeatTilt, fit_seat_tilt

HEIGHT_ERROR_NM = 8.0
"""Standard error of one height, as the simulator's stage has it."""
SLOPES = np.tan(np.radians([1.2, -0.7]))


def measured(
    n: int,
    seed: int,
    *,
    moved_nm: dict[int, float] | None = None,
    with_images: bool = True,
    reach_nm: float = 20000.0,
) -> SeatTilt | None:
    """Fit the heights of targets on a grid that is tilted by `SLOPES`.

    Parameters
    ----------
    moved_nm
        Targets that moved on their film, and by how much.
    with_images
        False if the images tell no error of their heights.
    """
    rng = np.random.default_rng(seed)
    turn = 2 * np.pi * (np.arange(n) / n + rng.uniform())
    ring_nm = reach_nm * np.column_stack([np.cos(turn), np.sin(turn)])
    places_nm = ring_nm + rng.uniform(-0.4 * reach_nm, 0.4 * reach_nm, (n, 2))
    sums_nm = 300.0 + places_nm @ SLOPES + rng.normal(0, HEIGHT_ERROR_NM * np.sqrt(2), n)
    for index, by_nm in (moved_nm or {}).items():
        sums_nm[index] += by_nm
    errors_nm = rng.normal(0, HEIGHT_ERROR_NM, 2 * n) if with_images else np.zeros(0)
    return fit_seat_tilt(places_nm, sums_nm, 2 * errors_nm**2)


def off_deg(seat: SeatTilt) -> float:
    return float(np.degrees(np.hypot(*(np.array(seat.slopes) - SLOPES))))


@pytest.mark.parametrize("n", [3, 4, 6, 20])
@pytest.mark.parametrize("reach_nm", [2000.0, 20000.0])
def test_the_error_holds_in_19_of_20_grids(n: int, reach_nm: float) -> None:
    found = [measured(n, seed, reach_nm=reach_nm) for seed in range(200)]
    known = [each for each in found if each is not None]
    assert len(known) > 150  # the others lie near a line
    assert np.mean([off_deg(each) < each.error_deg for each in known]) >= 0.93
    assert np.mean([max(each.shares_of_limit) > 1 for each in known]) <= 0.03


@pytest.mark.parametrize("n", [4, 6, 20])
def test_without_errors_from_images_the_scatter_of_the_heights_tells_them(n: int) -> None:
    found = [measured(n, seed, with_images=False) for seed in range(200)]
    known = [each for each in found if each is not None]
    assert len(known) > 100
    assert np.mean([off_deg(each) < each.error_deg for each in known]) >= 0.93


@pytest.mark.parametrize(
    ("n", "moved_nm"),
    [
        pytest.param(6, {2: 150.0}, id="one of six"),
        pytest.param(5, {4: -200.0}, id="one of five"),
        pytest.param(9, {0: 150.0, 7: -250.0}, id="two of nine"),
    ],
)
def test_targets_off_the_plane_are_named_and_do_not_tilt_it(
    n: int, moved_nm: dict[int, float]
) -> None:
    seats = [measured(n, seed, moved_nm=moved_nm) for seed in range(20)]
    named = 0
    for seat in seats:
        assert seat is not None
        off = {index for index, share in enumerate(seat.shares_of_limit) if share > 1}
        if off == set(moved_nm):
            named += 1
            for index, by_nm in moved_nm.items():
                assert seat.off_plane_nm[index] == pytest.approx(by_nm, abs=100.0)
    assert named >= 17
    right = [seat for seat in seats if seat is not None and off_deg(seat) < seat.error_deg]
    assert len(right) >= 17


LINE = np.column_stack([np.linspace(-9000.0, 9000.0, 7), np.zeros(7)])
SQUARE = np.array([(0.0, 0.0), (9000.0, 0.0), (9000.0, 9000.0), (0.0, 9000.0)])


@pytest.mark.parametrize(
    ("places_nm", "errors_nm"),
    [
        pytest.param(np.zeros((0, 2)), [], id="none"),
        pytest.param(SQUARE[:2], [8.0] * 4, id="two"),
        pytest.param(SQUARE[:FEWEST], [], id="three without any error"),
        pytest.param(LINE, [8.0] * 14, id="on a line"),
        pytest.param(LINE + [[0.0, 20.0 * (i % 2)] for i in range(7)], [8.0] * 14, id="nearly"),
        pytest.param(SQUARE / 100.0, [8.0] * 8, id="too near to each other"),
    ],
)
def test_nothing_is_said_where_heights_do_not_tell(
    places_nm: np.ndarray, errors_nm: list[float]
) -> None:
    sums_nm = np.random.default_rng(8).normal(0, 12.0, len(places_nm))
    assert fit_seat_tilt(places_nm, sums_nm, 2 * np.array(errors_nm) ** 2) is None


def test_of_four_targets_none_is_named() -> None:
    seat = measured(4, 1, moved_nm={1: 400.0})
    assert seat is None or max(seat.shares_of_limit) == 0.0


@pytest.mark.parametrize("towards_deg", [0.0, 90.0, 200.0, 330.0])
def test_angle_and_direction(towards_deg: float) -> None:
    turn = np.radians(towards_deg)
    slope = np.tan(np.radians(2.0)) * np.array([np.cos(turn), np.sin(turn)])
    seat = fit_seat_tilt(SQUARE, SQUARE @ slope, np.full(8, 1.0))
    assert seat is not None
    assert seat.angle_deg == pytest.approx(2.0)
    assert abs((seat.rises_towards_deg - towards_deg + 180) % 360 - 180) < 1e-6
