"""Plots made from a status."""

from __future__ import annotations

from controller.model.events import Counted, Phase, PhaseStarted
from controller.ui.tui.charts import charts_of
from tests.support.status_events import status_after


def counted(tilts: int, n: int, half: int) -> Counted:
    return Counted(which="A", n=n, n_low=n - half, n_high=n + half, tilts_used=tilts, live=True)


def test_a_count_with_a_very_wide_interval_is_not_plotted() -> None:
    status = status_after(
        PhaseStarted(phase=Phase.A), counted(48, 6400, 205), counted(56, 6500, 3340)
    )
    (chart,) = [chart for chart in charts_of(status) if chart.title.startswith("particles")]
    assert [curve.points for curve in chart.curves] == [((48.0, 6400.0),)]
