"""A plot of the screen as SVG, in the colours of the page."""

from __future__ import annotations

from html import escape

from controller.ui.chart import Chart, Curve, Point, axis_label, without_curve, y_range

WIDTH, HEIGHT = 440.0, 170.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 22.0, 22.0
"""Margins for the labels of the axes and the title."""


def chart_svg(chart: Chart) -> str:
    """Return the plot with its title, the ends of both axes, and one line for each curve.

    A curve that shows no change is left out.
    """
    curves = [curve for curve in chart.curves if curve.shows_change]
    title = _title(chart, curves)
    if not curves:
        middle = _text(WIDTH / 2, HEIGHT / 2, "middle", without_curve(chart), "quiet")
        return _svg(title + middle, chart.title)
    place = _Axes(chart)
    (x0, x1), (y0, y1) = chart.x_range, y_range(chart)
    parts = [
        title,
        f'<path class="axis" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>',
        _text(LEFT - 5, TOP + 5, "end", axis_label(y1)),
        _text(LEFT - 5, HEIGHT - BOTTOM, "end", axis_label(y0)),
        _text(LEFT, HEIGHT - 6, "start", f"{axis_label(x0)}{chart.x_unit}"),
        _text(WIDTH - RIGHT, HEIGHT - 6, "end", f"{axis_label(x1)}{chart.x_unit}"),
    ]
    if chart.limit is not None:
        height = place.of((x0, chart.limit))[1]
        parts.append(f'<path class="limit" d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}"/>')
    parts += [_curve(curve, place) for curve in curves]
    return _svg("".join(parts), chart.title)


class _Axes:
    """Places of points in the picture; those above or below it are moved to its edge."""

    def __init__(self, chart: Chart) -> None:
        self._x, self._y = chart.x_range, y_range(chart)

    def of(self, point: Point) -> Point:
        within = min(max(point[1], self._y[0]), self._y[1])
        across = (point[0] - self._x[0]) / ((self._x[1] - self._x[0]) or 1.0)
        up = (within - self._y[0]) / ((self._y[1] - self._y[0]) or 1.0)
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )


def _curve(curve: Curve, place: _Axes) -> str:
    kind = _kind(curve)
    band = ""
    if curve.bars:
        ends = list(zip(curve.points, curve.bars, strict=True))
        low = [place.of((x, bar[0])) for (x, _), bar in ends]
        high = [place.of((x, bar[1])) for (x, _), bar in reversed(ends)]
        band = f'<polygon class="band of-{kind}" points="{_points([*low, *high])}"/>'
    places = [place.of(point) for point in curve.points]
    line = f'<polyline class="of-{kind}" points="{_points(places)}"/>'
    x, y = places[-1]
    # curves with a colour of their own are named in the title: they may end at one place
    name = _text(x - 3, y - 5, "end", curve.name) if curve.meaning else ""
    return band + line + name


def _kind(curve: Curve) -> str:
    return curve.name if curve.name in ("A", "B", "fused") else "other"


def _points(places: list[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _title(chart: Chart, curves: list[Curve]) -> str:
    """Return the title, the names of the curves in their colours, and the limit in its own."""
    names = [
        (f"of-{_kind(one)}", one.legend) for one in curves if one.meaning or _kind(one) != "other"
    ]
    if chart.limit is not None:
        names.append(("limit-name", f"╌ limit {chart.limit:g}"))
    spans = [f'<tspan dx="8" class="{kind}">{escape(name)}</tspan>' for kind, name in names]
    return f'<text x="{LEFT}" y="14" class="title">{escape(chart.title)}{"".join(spans)}</text>'


def _text(x: float, y: float, anchor: str, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _svg(body: str, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{escape(label)}">{body}</svg>'
    )
