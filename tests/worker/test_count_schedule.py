"""When a growing series is counted."""

from __future__ import annotations

import pytest

from controller.worker.count_schedule import CountSchedule

PLANNED = 73


def counted_at(tilt_s: float, count_s: float | None) -> list[int]:
    """Return the tilts at which a series is counted: one tilt after the other, counts in no time.

    `count_s` is the time that each count is said to take; with None nothing is said.
    """
    schedule = CountSchedule()
    counted = []
    for tilts in range(1, PLANNED + 1):
        if schedule.due(tilts, PLANNED - tilts, tilts * tilt_s):
            counted.append(tilts)
            if count_s is not None:
                schedule.took(count_s)
    return counted


@pytest.mark.parametrize(
    ("tilt_s", "count_s", "expected"),
    [
        pytest.param(
            5.0, 10.0, [8, 16, 24, 32, 40, 48, 56, 64, 73], id="column: every eighth tilt, the end"
        ),
        pytest.param(
            5.0, 60.0, [8, 16, 24, 32, 40, 48, 56, 73], id="none that is late, but one at the end"
        ),
        pytest.param(0.2, None, [73], id="a series of 15 s: no count before its end"),
        pytest.param(0.3, None, [8, 16, 73], id="a series of 22 s: a first count is in time"),
        pytest.param(
            0.3, 1.0, [8, 16, 24, 32, 40, 48, 56, 64, 73], id="the same series, and fast counts"
        ),
    ],
)
def test_a_series_is_counted_where_the_count_is_in_time(
    tilt_s: float, count_s: float | None, expected: list[int]
) -> None:
    assert counted_at(tilt_s, count_s) == expected


def test_frames_of_a_resumed_series_say_nothing_about_its_speed() -> None:
    schedule = CountSchedule()
    assert schedule.due(40, 33, 0.0)
    assert not schedule.due(47, 26, 30.0)
    assert schedule.due(48, 25, 40.0)


def test_the_end_of_a_series_is_counted_only_with_new_tilts() -> None:
    schedule = CountSchedule()
    assert schedule.due(72, 1, 0.0)
    assert not schedule.due(73, 0, 1.0)
