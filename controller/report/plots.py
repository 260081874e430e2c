"""Curves against the tilt, as SVG that takes the page's colours."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from controller.model.base import SeriesName
from controller.model.events import FrameRecorded
from controller.model.frames import FrameVerdict
from controller.report.facts import Facts
from controller.report.html import figure
from controller.service.session_status import RESIDUAL_LIMIT_PX, TiltStatus

SERIES: tuple[SeriesName, ...] = ("A", "B")
INK, GRID, LIMIT = "#010101", "#020202", "#030303"
COLOURS = {"A": "#0a0a01", "B": "#0b0b01", "fused": "#0c0c01"}
"""Stand for the page's own, which follow light, dark and print."""
TO_PAGE = {
    INK: "currentColor",
    GRID: "var(--line)",
    LIMIT: "var(--bad)",
    COLOURS["A"]: "var(--a)",
    COLOURS["B"]: "var(--b)",
    COLOURS["fused"]: "var(--fused)",
}
MARKERS = {"A": "o", "B": "s", "fused": "D"}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dualtilt",
    "font.size": 9.5,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.6,
}


@dataclass(frozen=True)
class Curve:
    """One value a tilt."""

    title: str
    value: Callable[[TiltStatus], float | None]
    limit: float | None = None
    from_zero: bool = True
    """Whether the axis begins at 0; else it shows how the values differ."""


CURVES = (
    Curve("residual / px", lambda tilt: tilt.residual_px, RESIDUAL_LIMIT_PX),
    Curve("shift, as tracked / px", lambda tilt: math.hypot(*tilt.frame.shift_px)),
    Curve("mean counts", lambda tilt: tilt.frame.mean_counts, from_zero=False),
)


def against_tilt(facts: Facts) -> str:
    """Residual, shift, counts and dose against the tilt; nothing where no frame was recorded."""
    if not any(facts.status.series[name].tilts for name in SERIES):
        return ""
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 5.4), layout="constrained")
        axes = page.subplots(2, 2, sharex=True)
        for axis, curve in zip(axes.flat, CURVES, strict=False):
            _draw(axis, facts, curve)
        _draw_dose(axes[1, 1], facts)
        for axis in axes[1]:
            axis.set_xlabel("tilt / degrees")
        page.legend(*axes[1, 0].get_legend_handles_labels(), ncols=2, loc="outside upper right")
        svg = as_svg(page)
    caption = (
        "Every recorded tilt. The dashed line is the residual above which a tilt is worth a look; "
        "rings are frames that were taken again or found wanting."
    )
    return figure(svg, caption, "plot")


def counts_as_they_came(facts: Facts) -> str:
    """The live counts that said something against the tilts used; nothing where there were none."""
    told = {
        name: [point for point in facts.status.counts[name].points if not point.is_wide]
        for name in SERIES
        if name in facts.status.counts
    }
    live = {name: points for name, points in told.items() if len(points) > 2}
    if not live:
        return ""
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.6), layout="constrained")
        axis = page.subplots()
        for name, points in live.items():
            x = [point.tilts_used for point in points]
            axis.fill_between(
                x,
                [point.n_low for point in points],
                [point.n_high for point in points],
                color=COLOURS[name],
                alpha=0.16,
                linewidth=0,
            )
            axis.plot(
                x,
                [point.n for point in points],
                color=COLOURS[name],
                marker=MARKERS[name],
                label=name,
            )
        axis.set_title("particles seen", loc="left", fontsize=9.5)
        axis.set_xlabel("tilts used")
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(ncols=2, loc="lower right")
        svg = as_svg(page)
    caption = (
        "Particles in the live reconstruction as the series grew, and in the full one at its end; "
        "the bands are the ranges the counts left open."
    )
    return figure(svg, caption, "plot")


def _draw(axis: Axes, facts: Facts, curve: Curve) -> None:
    for name in SERIES:
        shown = [
            (tilt, value)
            for tilt in facts.status.series[name].by_angle
            if (value := curve.value(tilt)) is not None
        ]
        if not shown:
            continue
        axis.plot(
            [tilt.frame.nominal_deg for tilt, _ in shown],
            [value for _, value in shown],
            color=COLOURS[name],
            marker=MARKERS[name],
            label=f"series {name}",
        )
        odd = [
            (tilt.frame.nominal_deg, value)
            for tilt, value in shown
            if tilt.frame.verdict is not FrameVerdict.OK or tilt.frame.retakes
        ]
        if odd:
            axis.plot(*zip(*odd, strict=True), "o", ms=8, mfc="none", mec=COLOURS[name], ls="")
    if curve.limit is not None:
        axis.axhline(curve.limit, color=LIMIT, linestyle="--", linewidth=1)
    if not axis.get_legend_handles_labels()[0]:
        axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes)
    axis.set_ylim(*_y_range(axis, curve))
    axis.set_title(curve.title, loc="left", fontsize=9.5)


def _y_range(axis: Axes, curve: Curve) -> tuple[float, float]:
    """Room for curve and limit, and never less than a tenth of the value from edge to edge."""
    low, high = axis.dataLim.intervaly
    if curve.limit is not None:
        high = max(high, 1.2 * curve.limit)
    if curve.from_zero:
        return 0.0, 1.05 * high or 1.0
    margin = max(0.15 * (high - low), 0.05 * high)
    return max(0.0, low - margin), high + margin


def _draw_dose(axis: Axes, facts: Facts) -> None:
    for name in SERIES:
        doses = [
            (event.frame.nominal_deg, event.dose_e_per_A2 / 1000) for event in _frames(facts, name)
        ]
        if doses:
            axis.plot(*zip(*doses, strict=True), color=COLOURS[name], marker=MARKERS[name])
    budget = facts.status.dose_budget_e_per_A2 / 1000
    used = facts.status.dose_e_per_A2 / 1000
    if 0 < budget < 1.6 * used:
        axis.axhline(budget, color=LIMIT, linestyle="--", linewidth=1)
    axis.set_ylim(bottom=0)
    axis.set_title("dose so far / ke Å⁻²", loc="left", fontsize=9.5)


def _frames(facts: Facts, name: SeriesName) -> Iterable[FrameRecorded]:
    for record in facts.records:
        if isinstance(record.event, FrameRecorded) and record.event.frame.series == name:
            yield record.event


def as_svg(page: Figure) -> str:
    """Inline SVG in the page's own colours and fonts."""
    buffer = io.StringIO()
    page.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for stand_in, colour in TO_PAGE.items():
        svg = svg.replace(stand_in, colour)
    return svg
