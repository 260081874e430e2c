"""Order of the tilts, and the side from which each is approached."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from pydantic import ValidationError

from controller.model.costs import STAGE_REST_S, STAGE_SPEED_DEG_PER_S
from controller.model.plan import make_plan
from controller.model.sections.series import SeriesSettings
from controller.model.steps import Tilt
from tests.plan.test_plan import small


@dataclass(frozen=True)
class Order:
    name: str
    settings: dict[str, object]
    tilts_deg: tuple[float, ...]


ORDERS = [
    Order("one-way", {}, (-6, -3, 0, 3, 6, 9)),
    Order("bidirectional", {"order": "bidirectional"}, (0, 3, 6, 9, -3, -6)),
    Order(
        "bidirectional from another angle than 0",
        {"order": "bidirectional", "first_deg": -2.9},
        (-3, 0, 3, 6, 9, -6),
    ),
    Order(
        "from a positive to a negative angle",
        {"order": "bidirectional", "start_deg": 6, "stop_deg": -6},
        (0, -3, -6, 3, 6),
    ),
    Order(
        "dose-symmetric, in Hagen's groups of two",
        {"order": "dose-symmetric", "start_deg": -15, "stop_deg": 15},
        (0, 3, -3, -6, 6, 9, -9, -12, 12, 15, -15),
    ),
    Order(
        "dose-symmetric, alternating at every tilt",
        {"order": "dose-symmetric", "group": 1},
        (0, 3, -3, 6, -6, 9),
    ),
    Order(
        "golden: every tilt once, any part of them covers the range",
        {"order": "golden", "start_deg": -15, "stop_deg": 15},
        (0, -12, 9, -6, 15, 3, -9, 12, -3, -15, 6),
    ),
    Order(
        "dose-symmetric in groups of four, one side longer",
        {"order": "dose-symmetric", "group": 4, "stop_deg": 24},
        (0, 3, 6, -3, -6, 9, 12, 15, 18, 21, 24),
    ),
]


@pytest.mark.parametrize("case", ORDERS, ids=lambda case: case.name)
def test_tilts_are_in_the_recording_order(case: Order) -> None:
    settings = {"start_deg": -6, "stop_deg": 9, "step_deg": 3, **case.settings}
    assert SeriesSettings.model_validate(settings).tilts_deg == case.tilts_deg


def test_a_series_whose_first_angle_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValidationError, match="first_deg \\+20 is not within -6 to \\+9"):
        SeriesSettings(start_deg=-6, stop_deg=9, order="bidirectional", first_deg=20)


@pytest.mark.parametrize(
    ("order", "approached_from"),
    [
        ("one-way", [None] * 5),
        ("bidirectional", [None, None, None, -13.0, -23.0]),
        ("dose-symmetric", [None, None, -13.0, -23.0, None]),
        ("golden", [None, -23.0, None, -13.0, None]),
    ],
)
def test_backlash_approach_where_the_tilt_direction_reverses(
    order: str, approached_from: list[float | None]
) -> None:
    series = {"start_deg": -20, "stop_deg": 20, "step_deg": 10, "order": order}
    tilts = [
        step
        for step in make_plan(small(series_a=series)).steps
        if isinstance(step, Tilt) and step.series == "A"
    ]
    assert [tilt.approach_deg for tilt in tilts] == approached_from


def test_the_planned_time_includes_the_backlash_approach() -> None:
    series = {"start_deg": -20, "stop_deg": 20, "step_deg": 10}
    one_way, there_and_back = (
        make_plan(small(series_a=series | {"order": order})).duration_s
        for order in ("one-way", "bidirectional")
    )
    # 40 degrees in both orders; then +20 to -13, -10, -23, -20 instead of 20 to the first tilt
    more_deg, more_moves = (20 + 33 + 3 + 13 + 3) - 60, 2
    expected_s = more_deg / STAGE_SPEED_DEG_PER_S + more_moves * STAGE_REST_S
    assert there_and_back - one_way == pytest.approx(expected_s)


def test_the_backlash_approach_stays_within_the_limits() -> None:
    series = {"start_deg": -20, "stop_deg": 20, "step_deg": 10, "order": "bidirectional"}
    limits = {"stage": {"alpha_min_deg": -20.0}}
    plan = make_plan(small(series_a=series, limits=limits, shower={"tilts_deg": [0.0]}))
    assert next(step for step in plan.steps if step.id == "A-005").approach_deg == -20.0


@pytest.mark.parametrize("stop_deg", [60.0, 70.0, 72.0])
def test_any_part_of_the_golden_order_covers_the_range_almost_evenly(stop_deg: float) -> None:
    series = SeriesSettings(start_deg=-70, stop_deg=stop_deg, step_deg=2, order="golden")
    range_deg = stop_deg + 70
    assert sorted(series.tilts_deg) == sorted(
        SeriesSettings(start_deg=-70, stop_deg=stop_deg).tilts_deg
    )
    for recorded in range(8, len(series.tilts_deg)):
        part = sorted([*series.tilts_deg[:recorded], -70, stop_deg])
        gaps = [after - before for before, after in pairwise(part)]
        assert max(gaps) <= 2.2 * range_deg / recorded + 2, recorded


def test_a_series_in_motion_records_all_its_tilts() -> None:
    with pytest.raises(ValidationError, match="'settled' needs motion = 'stop-and-go'"):
        SeriesSettings(start_deg=-6, stop_deg=6, motion="continuous", end_when="settled")
