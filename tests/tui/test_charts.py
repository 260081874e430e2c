"""Plots made from a status."""

from __future__ import annotations

import re

import pytest

from controller.model.events import Counted, Phase, PhaseStarted, Showered
from controller.ui.chart import Chart, Curve, without_curve
from controller.ui.status_charts import charts_of
from controller.ui.tui.braille import draw
from controller.ui.web.chart_svg import chart_svg
from tests.support.status_events import status_after


def counted(tilts: int, n: int, half: int) -> Counted:
    return Counted(which="A", n=n, n_low=n - half, n_high=n + half, tilts_used=tilts, live=True)


def test_a_count_with_a_very_wide_interval_is_not_plotted() -> None:
    status = status_after(
        PhaseStarted(phase=Phase.A), counted(48, 6400, 205), counted(56, 6500, 3340)
    )
    (chart,) = [chart for chart in charts_of(status) if chart.title.startswith("particles")]
    assert [curve.points for curve in chart.curves] == [((48.0, 6400.0),)]


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
