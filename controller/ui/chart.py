"""Plots as data: curves with error bars, ranges of the axes, a limit line."""

from __future__ import annotations

import math
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """Points in order of x, with optional error bars."""

    name: str
    points: tuple[Point, ...]
    bars: tuple[tuple[float, float], ...] = ()
    """Error bar (low, high) of each point; empty for none."""
    joined: bool = True
    meaning: str = ""
    """Meaning of a name that is no word, for the title: `1` is `-60°`."""

    @property
    def legend(self) -> str:
        """Name with its meaning, for the title."""
        return f"{self.name}:{self.meaning}" if self.meaning else self.name

    @property
    def shows_change(self) -> bool:
        """True if there are values at two places at least: one point shows no change."""
        return len({x for x, _ in self.points}) > 1


@dataclass(frozen=True)
class Chart:
    """Content of one plot."""

    title: str
    curves: tuple[Curve, ...] = ()
    x_range: tuple[float, float] = (0.0, 1.0)
    y_range: tuple[float, float] | None = None
    """Range of y; None takes it from the data. Error bars are cut off at its ends."""
    limit: float | None = None
    x_unit: str = ""


def without_curve(chart: Chart) -> str:
    """Return why a chart has no curve; empty if it has one."""
    if any(curve.shows_change for curve in chart.curves):
        return ""
    single = any(curve.points for curve in chart.curves)
    return "no curve: one value each" if single else "no data yet"


def axis_label(value: float) -> str:
    """Return a number in at most five characters."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def y_range(chart: Chart) -> tuple[float, float]:
    """Return the chart's range, else a range with round ends around data and limit."""
    if chart.y_range is not None:
        return chart.y_range
    values = [y for curve in chart.curves for _, y in curve.points]
    values += [end for curve in chart.curves for bar in curve.bars for end in bar]
    values += [chart.limit] if chart.limit is not None else []
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    return round_ends(min(finite), max(finite))


def round_ends(low: float, high: float) -> tuple[float, float]:
    """Return a range with round ends that contains `low` and `high`."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    step = step / 5 if span / step < 2 else step / 2 if span / step < 5 else step
    return math.floor(low / step) * step, math.ceil(high / step + 1e-9) * step
