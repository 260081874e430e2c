"""Targets of a grid in a protocol: what is refused, their order, their plans."""

from __future__ import annotations

import tomllib
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from controller.model.exposures import survey_places_nm, survey_scan
from controller.model.plan import make_plan
from controller.model.protocol import Protocol
from controller.model.survey import MAP_FIELDS
from controller.model.target_order import path_nm, shortest_order
from tests.support.small_session import PROTOCOL


def protocol(*targets: dict[str, Any], **changes: object) -> Protocol:
    content = {**tomllib.loads(PROTOCOL), "targets": list(targets), **changes}
    return Protocol.model_validate(content)


def at(name: str, x_nm: float, y_nm: float, **changes: object) -> dict[str, Any]:
    return {"name": name, "x_nm": x_nm, "y_nm": y_nm, **changes}


STEEP_B = {"start_deg": -84.0, "stop_deg": 0.0, "step_deg": 12.0}
STEEP = {
    "shower": {"enabled": False},
    "series_b": STEEP_B,
    "limits": {"stage": {"alpha_min_deg": -84.0}},
}


@pytest.mark.parametrize(
    ("targets", "changes", "says"),
    [
        pytest.param([at("a", 0, 0), at("A", 2000, 0)], {}, "the same name", id="names of folders"),
        pytest.param([at("../a", 0, 0)], {}, "string_pattern_mismatch", id="an unsafe name"),
        pytest.param([at("a", 2e6, 0)], {}, "a lies beyond limits.stage.xy_max_nm", id="too far"),
        pytest.param(
            [at("a", 0, 0), at("b", 200, 0)],
            {},
            "exposures of a reach b, 200 nm away",
            id="the shower reaches a neighbour",
        ),
        pytest.param(
            [at("a", 0, 0), at("b", 0, 205)],
            STEEP,
            "reach b, 205 nm away; 254 nm are needed",
            id="the frame reaches it after the flip",
        ),
        pytest.param(
            [at(name, 200.0 * i, 0) for i, name in enumerate("abcdef")],
            {},
            "of c reach d, 200 nm away; 232 nm are needed at these tilts: leave one of them out; "
            "and 2 more",
            id="each pair once, three at most",
        ),
        pytest.param(
            [at("a", 0, 0), at("b", 3, 4)],
            {},
            "leave one of them out; are x_nm and y_nm in nm?",
            id="another unit",
        ),
        pytest.param(
            [at("a", 0, 0, series_a={"step": 4.0})],
            {},
            "a: series_a.step: no such setting",
            id="an unknown setting",
        ),
        pytest.param(
            [at("a", 0, 0, series_a={"stop_deg": 90.0})],
            {},
            "beyond limits.stage",
            id="a wrong one",
        ),
        pytest.param(
            [at("a", 0, 0)],
            {"grid": {"search_nm": 5e4}},
            "needs about 21170 maps, at most 1000",
            id="a long survey",
        ),
        pytest.param(
            [at("a", 0, 0)], {"grid": {"search_nm": 2e6}}, "1 to 500000 nm", id="a search in fm"
        ),
        pytest.param(
            [at("a", 0, 0)], {"grid": {"tolerance_nm": 2e6}}, "0.1 to 10000 nm", id="a tolerance"
        ),
        pytest.param([], {}, "too_short", id="no target"),
    ],
)
def test_wrong_targets_are_refused(
    targets: list[dict[str, Any]], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        protocol(*targets, **changes)
    assert says in str(refused.value)


def test_steep_tilts_alone_reach_a_neighbour() -> None:
    flat = {**STEEP, "series_b": {**STEEP_B, "start_deg": -60.0}}
    assert protocol(at("a", 0, 0), at("b", 0, 205), **flat).only_flips


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"ask_before_start": True}, "ask_before_start", id="asks at each start"),
        pytest.param({"tracking": {"enabled": False}}, "tracking.enabled", id="no tracking"),
        pytest.param({"target": "c"}, "is none of: a", id="another target"),
    ],
)
def test_settings_that_do_not_fit_targets_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        protocol(at("a", 0, 0), **changes)


def test_the_plans_of_a_grid() -> None:
    whole = protocol(at("a", 0, 0), at("b", 3000, 0, series_a={"step_deg": 5.0}))
    assert [step.id for step in make_plan(whole).steps] == ["preflight", "flip"]
    plans = {name: make_plan(whole.of_target(name)) for name in ("a", "b")}
    kinds = [step.kind for step in plans["a"].steps]
    assert kinds[:3] == ["preflight", "find-target", "shower"]
    assert kinds.count("find-flipped") == 1 and "flip" not in kinds
    tilts_a = {
        name: sum(step.kind == "tilt" and step.series == "A" for step in plan.steps)
        for name, plan in plans.items()
    }
    assert tilts_a == {"a": 5, "b": 9}


@pytest.mark.parametrize("count", [1, 2, 6])
def test_the_order_is_the_shortest_way(count: int) -> None:
    places = [tuple(p) for p in np.random.default_rng(count).uniform(-1e4, 1e4, (count, 2))]
    order = shortest_order(places)
    shortest = min(path_nm(places, other) for other in permutations(range(count)))
    assert sorted(order) == list(range(count))
    assert path_nm(places, order) == pytest.approx(shortest)


def test_the_order_of_many_targets_is_near_the_shortest() -> None:
    places = [(1000.0 * i, 0.0) for i in np.random.default_rng(1).permutation(40)]
    assert path_nm(places, shortest_order(places)) == pytest.approx(39_000.0)


def test_the_survey_covers_every_place_that_a_target_can_take() -> None:
    grid = protocol(at("a", 0, 0), at("b", 3000, 0), grid={"search_nm": 500.0})
    places = np.array(survey_places_nm(grid, survey_scan(grid)))
    half_nm = MAP_FIELDS["low"] * 48 * 1.0 / 2
    angles, radii = np.meshgrid(np.linspace(0, 2 * np.pi, 60), np.linspace(0, 3500, 30))
    points = np.column_stack([(radii * np.cos(angles)).ravel(), (radii * np.sin(angles)).ravel()])
    nearest = np.abs(points[:, None] - places[None]).max(axis=2).min(axis=1)
    assert nearest.max() < half_nm - 48  # an assembly of a frame's width lies whole in one map
