"""When a growing series is counted."""

from __future__ import annotations

import pytest

from controller.worker.count_schedule import CountSchedule, RecordingPace

PLANNED = 73


def counted_at(frames_s: list[float], count_s: float | None) -> list[int]:
    """Return the tilts at which a series is counted, from the arrival of its frames.

    `count_s` is the time that each count is said to take; with None nothing is said.
    """
    schedule, pace = CountSchedule(), RecordingPace()
    counted = []
    for tilts, arrived_s in enumerate(frames_s, 1):
        pace.arrived(arrived_s)
        if schedule.due(tilts, PLANNED - tilts, pace.tilt_s):
            counted.append(tilts)
            if count_s is not None:
                schedule.took(count_s)
    return counted


def evenly(tilt_s: float) -> list[float]:
    return [tilt_s * tilt for tilt in range(PLANNED)]


EVERY_EIGHTH = [8, 16, 24, 32, 40, 48, 56, 64]


@pytest.mark.parametrize(
    ("frames_s", "count_s", "expected"),
    [
        pytest.param(evenly(5.0), 10.0, [*EVERY_EIGHTH, 73], id="at a microscope"),
        pytest.param(evenly(5.0), 60.0, [*EVERY_EIGHTH[:-1], 73], id="slow counts: not the last"),
        pytest.param(evenly(0.2), None, [8, 73], id="15 s long: its end only, once it is known"),
        pytest.param(evenly(0.3), None, [8, 16, 73], id="22 s long: an early one is in time"),
        pytest.param(evenly(0.3), 1.0, [*EVERY_EIGHTH, 73], id="22 s long, and fast counts"),
        pytest.param(
            [0.0] * 40 + [5.0 * tilt for tilt in range(33)],
            10.0,
            [*EVERY_EIGHTH, 73],
            id="resumed: frames announced at once tell no time",
        ),
        pytest.param(
            [2000.0 * (tilt > 30) + 5.0 * tilt for tilt in range(PLANNED)],
            60.0,
            [*EVERY_EIGHTH[:-1], 73],
            id="a pause is no tilt",
        ),
    ],
)
def test_a_series_is_counted_where_the_count_is_in_time(
    frames_s: list[float], count_s: float | None, expected: list[int]
) -> None:
    assert counted_at(frames_s, count_s) == expected


def test_the_end_of_a_series_is_counted_only_with_new_tilts() -> None:
    schedule = CountSchedule()
    assert schedule.due(72, 1, None)
    assert not schedule.due(73, 0, None)
