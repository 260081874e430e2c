"""Plots made from a status."""

from __future__ import annotations

import re

import pytest

from controller.model.events import Counted, Phase, PhaseStarted, Showered
from controller.ui.chart import Chart, Curve, without_curve, y_range
from controller.ui.status_charts import charts_of
from controller.ui.tui.braille import draw
from controller.ui.tui.layout import SIDE_CELLS
from controller.ui.tui.phase_panels import panel_lines
from controller.ui.web.chart_svg import BOTTOM, HEIGHT, TOP, chart_svg
from tests.support.status_events import frame, judged, status_after


def counted(tilts: int, n: int, half: int) -> Counted:
    return Counted(which="A", n=n, n_low=n - half, n_high=n + half, tilts_used=tilts, live=True)


def test_early_counts_with_wide_intervals_are_drawn_and_do_not_flatten_the_curve() -> None:
    """The counts of a real session; the intervals of the first two are wide."""
    counts = (counted(16, 1280, 927), counted(24, 1104, 569), counted(32, 1143, 39))
    particles = charts_of(status_after(PhaseStarted(phase=Phase.A), frame(0), *counts))[1]
    assert [curve.points for curve in particles.curves] == [
        ((16.0, 1280.0), (24.0, 1104.0), (32.0, 1143.0))
    ]
    low, high = y_range(particles)
    assert low <= 1104 and high >= 1280
    assert high - low < 1000, "the change from 1280 to 1104 fills a good part of the height"
    drawn = chart_svg(particles)
    heights = [float(y) for y in re.findall(r"[\d.]+,(-?[\d.]+)", drawn)]
    assert "polyline" in drawn and heights
    assert all(TOP <= height <= HEIGHT - BOTTOM for height in heights), "all within the plot"
    dots = "".join(text for row in draw(particles, 5, 40).rows_of_text() for text, _ in row)
    assert dots.strip("\u2800")


HIGH = {
    "first tilts": ((2.2,) * 3, "2.20 px few", ""),
    "one high tilt": ((*[0.1] * 8, 3.62), "3.62 px HIGH", "HIGH 1 in a row; at 3: STOP AT END"),
    "three high tilts": ((*[0.1] * 8, 3.6, 3.6, 3.62), "3.62 px HIGH", ""),
    "a fitting tilt": ((*[0.1] * 8, 3.62, 0.1), "0.10 px ok", ""),
}


@pytest.mark.parametrize(("residuals_px", "word", "why"), HIGH.values(), ids=HIGH)
def test_a_high_residual_beside_good_says_how_far_the_advice_is(
    residuals_px: tuple[float, ...], word: str, why: str
) -> None:
    aligned = (e for i, px in enumerate(residuals_px) for e in (frame(i), judged(i, px)))
    status = status_after(PhaseStarted(phase=Phase.A), *aligned)
    shown = "\n".join(line.plain for line in panel_lines(status))
    assert word in shown and why in shown and ("in a row" in shown) == bool(why)
    assert max(len(line.plain) for line in panel_lines(status)) <= SIDE_CELLS - 2


def showered(alpha_deg: float, elapsed_s: float, size_nm: float) -> Showered:
    return Showered(
        alpha_deg=alpha_deg, elapsed_s=elapsed_s, planned_s=90, dose_e_per_A2=1, size_nm=size_nm
    )


def test_the_size_in_the_shower_has_one_curve_for_each_tilt() -> None:
    status = status_after(
        PhaseStarted(phase=Phase.SHOWER),
        *(
            showered(-30, 10, 171),
            showered(-30, 20, 170),
            showered(0, 30, 164),
            showered(0, 40, 163),
        ),
    )
    size = charts_of(status)[0]
    assert [curve.points for curve in size.curves] == [
        ((10, 171), (20, 170)),
        ((30, 164), (40, 163)),
    ]
    assert [curve.legend for curve in size.curves] == ["1:-30°", "2:+0°"]


WITHOUT_CURVE = {
    "no count": ((), "no data yet"),
    "one count": ((counted(40, 6400, 100),), "no curve: one value each"),
    "two counts": ((counted(40, 6400, 100), counted(48, 6400, 100)), ""),
}


@pytest.mark.parametrize(("counts", "why"), WITHOUT_CURVE.values(), ids=WITHOUT_CURVE)
def test_a_chart_says_why_it_has_no_curve(counts: tuple[Counted, ...], why: str) -> None:
    status = status_after(PhaseStarted(phase=Phase.A), *counts)
    particles = charts_of(status)[1]
    assert without_curve(particles) == why
    drawn = chart_svg(particles)
    assert why in drawn and ("polyline" in drawn) == (why == "")


def test_nothing_is_drawn_from_one_point() -> None:
    alone = Curve("B", ((5.0, 5.0),), ((1.0, 9.0),))
    pair = Curve("A", ((0.0, 1.0), (10.0, 2.0)))
    with_alone = Chart("particles", (pair, alone), x_range=(0.0, 10.0), y_range=(0.0, 10.0))
    without = Chart("particles", (pair,), x_range=(0.0, 10.0), y_range=(0.0, 10.0))
    assert draw(with_alone, 5, 40).rows_of_text() == draw(without, 5, 40).rows_of_text()


TEXT = re.compile(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="\w+"[^>]*>([^<]*)<')


def test_curves_that_end_at_one_place_are_named_apart_in_their_colours() -> None:
    curves = tuple(Curve(name, ((0.0, 5.0), (10.0, 1.0))) for name in ("A", "B"))
    drawn = chart_svg(Chart("residual", curves, x_range=(0.0, 10.0), limit=2.0))
    places = [(x, y) for x, y, _ in TEXT.findall(drawn)]
    assert len(set(places)) == len(places), "no text is written over another"
    for kind, name in (("of-A", "A"), ("of-B", "B"), ("limit-name", "╌ limit 2")):
        assert re.search(rf'<tspan [^>]*class="{kind}">{name}</tspan>', drawn)
