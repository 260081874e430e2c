"""Plots made from a status."""

from __future__ import annotations

from controller.model.events import Counted, Phase, PhaseStarted, Showered
from controller.ui.status_charts import charts_of
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
