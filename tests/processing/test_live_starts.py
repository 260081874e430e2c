"""Count before, diameter and interval that a live count continues with."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from processing.align.alignment import Alignment
from processing.live.earlier_search import EarlierSearch
from processing.live.repeated_diameter import RepeatedDiameter
from processing.live.series_counter import expected_change, widen_interval
from processing.pipeline.series_search import SeriesResult
from processing.results import Cause, Count, Sampling, Trust, Verdict


def earlier_search(**verdict: Any) -> EarlierSearch:
    """Return a search of 20 images with particles of 7 px."""
    count = Count(n=90, n_low=80, n_high=100, verdict=Verdict(**verdict) if verdict else None)
    table = SimpleNamespace(centres_nm=np.zeros((1, 3)))
    result = SimpleNamespace(
        volume=None,
        diameter=SimpleNamespace(value=7.0, kinds=()),
        aligned=SimpleNamespace(pixel_nm=1.0),
        detection=SimpleNamespace(count=count, centres=None, table=table),
    )
    return EarlierSearch(cast(SeriesResult, result), aligned_images(20), PART)


def aligned_images(tilts: int, **changed: Any) -> Alignment:
    alignment = Alignment(
        shifts_px=np.zeros((tilts, 2)),
        tilt_axis_deg=0.0,
        angles_deg=np.arange(float(tilts)),
        rejected=np.zeros(tilts, bool),
        residuals_px=np.zeros(tilts),
    )
    return replace(alignment, **changed)


PART = Sampling(recorded_px=(80, 80), crop_px=(0, 0, 80, 80))
REFUSED = {"state": Trust.REFUSED, "reasons": ("noise",), "causes": (Cause.NOISE,)}
STARTS = [
    ("three more images", aligned_images(23), PART, {}, True),
    (
        "shifts as good as before",
        aligned_images(23, shifts_px=np.full((23, 2), 0.3)),
        PART,
        {},
        True,
    ),
    ("moved", aligned_images(23, shifts_px=np.full((23, 2), 0.6)), PART, {}, False),
    ("another axis", aligned_images(23, tilt_axis_deg=1.0), PART, {}, False),
    ("an image rejected", aligned_images(23, rejected=np.arange(23) == 3), PART, {}, False),
    ("a quarter more images", aligned_images(25), PART, {}, False),
    (
        "another part of the images",
        aligned_images(23),
        Sampling(recorded_px=(80, 80), crop_px=(4, 0, 76, 80)),
        {},
        False,
    ),
    ("a refused count", aligned_images(23), PART, REFUSED, False),
]


@pytest.mark.parametrize(
    ("alignment", "part", "verdict", "starts"), [c[1:] for c in STARTS], ids=[c[0] for c in STARTS]
)
def test_a_count_starts_from_the_one_before_where_the_images_are_nearly_the_same(
    alignment: Alignment, part: Sampling, verdict: dict[str, Any], starts: bool
) -> None:
    assert (earlier_search(**verdict).start(alignment, part) is not None) is starts


DIAMETERS = [
    ("nothing known", [], None),
    ("one scan", [6.3], None),
    ("two that agree", [6.3, 6.35], 6.35),
    ("two that differ", [6.3, 7.0], None),
    ("a later one differs", [6.3, 6.3, 7.0], None),
    ("agreed again", [6.3, 6.3, 7.0, 7.0], 7.0),
    ("of no use, then one scan", [6.3, 6.3, None, 6.3], None),
]


@pytest.mark.parametrize(
    ("found_nm", "agreed_nm"), [c[1:] for c in DIAMETERS], ids=[c[0] for c in DIAMETERS]
)
def test_later_counts_take_a_diameter_that_two_in_a_row_found(
    found_nm: list[float | None], agreed_nm: float | None
) -> None:
    diameter = RepeatedDiameter()
    for each_nm in found_nm:
        diameter.add(each_nm)
    assert diameter.agreed_nm == agreed_nm


@pytest.mark.parametrize(
    ("history", "planned", "more"),
    [
        pytest.param([(40, 5000), (48, 5000)], 72, 0, id="no change"),
        pytest.param([(40, 5000), (48, 5400)], 48, 0, id="no tilts left"),
        pytest.param([(32, 4200), (40, 5000), (48, 5400)], 64, 300, id="halving: 200 and 100"),
        pytest.param([(32, 4600), (40, 5000), (48, 5400)], 64, 800, id="steady: as much again"),
        pytest.param([(40, 5000), (48, 5400)], 64, 300, id="one change: assumed to halve"),
        pytest.param([(32, 5200), (40, 5000), (48, 5400)], 56, 200, id="opposite changes: halving"),
        pytest.param([(40, 5400), (48, 5000)], 56, -200, id="falling"),
    ],
)
def test_expected_change_by_the_tilts_to_come(
    history: list[tuple[int, int]], planned: int, more: int
) -> None:
    assert expected_change(history, planned) == more


@pytest.mark.parametrize(
    ("before", "doubt", "low", "high"),
    [
        pytest.param(None, 0, 500, 1500, id="no earlier count"),
        pytest.param(Count(n=970, n_low=960, n_high=980), 0, 950, 1050, id="a change"),
        pytest.param(Count(n=1000, n_low=1, n_high=2000), 0, 960, 1040, id="no change"),
        pytest.param(
            Count(n=1000, n_low=1, n_high=2000), 30, 950, 1050, id="a further uncertainty"
        ),
    ],
)
def test_the_interval_includes_the_change_by_the_latest_tilts(
    before: Count | None, doubt: float, low: int, high: int
) -> None:
    count = widen_interval(Count(n=1000, n_low=960, n_high=1040), before, doubt)
    assert (count.n_low, count.n_high) == pytest.approx((low, high), abs=2)
