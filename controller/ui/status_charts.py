"""The two plots of each phase, made from the status."""

from __future__ import annotations

import math
from collections.abc import Iterable

from controller.model.base import SeriesName, Which
from controller.model.events import Phase
from controller.service.session_status import (
    RESIDUAL_LIMIT_PX,
    WIDE_INTERVAL,
    CountPoint,
    SessionStatus,
)
from controller.ui.chart import Chart, Curve, round_ends

NO_CHARTS: tuple[Chart, ...] = ()


def charts_of(status: SessionStatus) -> tuple[Chart, ...]:
    """Return the plots of the current phase; none if it has no data to plot."""
    match status.phase:
        case Phase.SHOWER:
            return (_size(status), _dose(status))
        case Phase.A:
            return (_residuals(status, ("A",)), _particles(status, ("A",)))
        case Phase.B:
            return (_residuals(status, ("B",)), _particles(status, ("A", "B", "fused")))
        case Phase.FLIP | Phase.FUSE | Phase.REPORT:
            return (_residuals(status, ("A", "B")), _particles(status, ("A", "B", "fused")))
        case _:
            return NO_CHARTS


def _residuals(status: SessionStatus, names: tuple[SeriesName, ...]) -> Chart:
    curves = tuple(
        Curve(
            name,
            tuple(
                (tilt.frame.nominal_deg, tilt.residual_px)
                for tilt in status.series[name].by_angle
                if tilt.residual_px is not None
            ),
        )
        for name in names
    )
    planned = [tilt for name in names for tilt in status.series[name].planned_tilts_deg]
    top = max([y for curve in curves for _, y in curve.points], default=0.0)
    return Chart(
        title="live residual/px vs tilt",
        curves=curves,
        x_range=(min(planned, default=-90.0), max(planned, default=90.0)),
        y_range=(0.0, max(1.2 * RESIDUAL_LIMIT_PX, math.ceil(2 * top) / 2)),
        limit=RESIDUAL_LIMIT_PX,
        x_unit="°",
    )


def _particles(status: SessionStatus, names: tuple[Which, ...]) -> Chart:
    before = {"fused": len(status.series["A"].tilts)}  # plotted over the tilts of B
    curves = tuple(
        Curve(
            name,
            tuple((float(p.tilts_used - before.get(name, 0)), float(p.n)) for p in points),
            tuple((float(p.n_low), float(p.n_high)) for p in points),
        )
        for name in names
        for points in [_points(status, name)]
        if points
    )
    planned = max(series.planned for series in status.series.values())
    return Chart(
        title="particles vs tilts used",
        curves=curves,
        x_range=(0.0, float(planned or 1)),
        y_range=_range_of_counts(point for name in names for point in _points(status, name)),
    )


def _points(status: SessionStatus, name: Which) -> tuple[CountPoint, ...]:
    return status.counts[name].points if name in status.counts else ()


def _range_of_counts(points: Iterable[CountPoint]) -> tuple[float, float] | None:
    """Return the range of the counts; None without counts.

    A very wide interval is shown in part: in full it would make a flat line of the counts.
    """
    ends = [end for point in points for end in _shown_interval(point)]
    return round_ends(min(ends), max(ends)) if ends else None


def _shown_interval(point: CountPoint) -> tuple[float, float]:
    half = WIDE_INTERVAL * point.n
    return max(point.n_low, point.n - half), min(point.n_high, point.n + half)


def _size(status: SessionStatus) -> Chart:
    """Return the size by time, one curve for each tilt: its width changes with the angle too."""
    by_tilt: dict[float, list[tuple[float, float]]] = {}
    for shower in status.showers:
        if shower.size_nm is not None:
            by_tilt.setdefault(shower.alpha_deg, []).append((shower.elapsed_s, shower.size_nm))
    return Chart(
        title="size/nm vs time",
        curves=tuple(
            Curve(str(number), tuple(points), meaning=f"{alpha_deg:+.0f}°")
            for number, (alpha_deg, points) in enumerate(by_tilt.items(), 1)
        ),
        x_range=(0.0, _shower_s(status)),
        x_unit=" s",
    )


def _dose(status: SessionStatus) -> Chart:
    points = tuple((shower.elapsed_s, shower.dose_e_per_A2 / 1000) for shower in status.showers)
    return Chart(
        title="dose/(ke/Å²) vs time",
        curves=(Curve("dose", points),),
        x_range=(0.0, _shower_s(status)),
        x_unit=" s",
    )


def _shower_s(status: SessionStatus) -> float:
    return status.showers[-1].planned_s if status.showers else 1.0
