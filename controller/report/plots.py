"""Per-tilt plots and live counts, as SVG in the colours of the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator

from controller.model.base import SeriesName, Which
from controller.model.events import FrameRecorded
from controller.model.frames import FrameVerdict
from controller.report.html import figure
from controller.report.report_data import ReportData
from controller.service.session_status import RESIDUAL_LIMIT_PX, TiltStatus

SERIES: tuple[SeriesName, ...] = ("A", "B")
COUNTED: tuple[Which, ...] = ("A", "B", "fused")
INK, GRID, LIMIT = "#1d2126", "#d9dcdf", "#b3261e"
COLOURS = {"A": "#1f5fa8", "B": "#b3560b", "fused": "#12704e"}
"""Colours on paper. On the page they depend on light, dark and print mode."""
PAGE_COLOURS = {
    INK: "currentColor",
    GRID: "var(--line)",
    LIMIT: "var(--bad)",
    COLOURS["A"]: "var(--a)",
    COLOURS["B"]: "var(--b)",
    COLOURS["fused"]: "var(--fused)",
}
"""Page colour for each colour on paper."""
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
    """Curve with one value for each tilt."""

    title: str
    value: Callable[[TiltStatus], float | None]
    limit: float | None = None
    from_zero: bool = True
    """The axis begins at 0 if true; else it shows the range of the values."""


CURVES = (
    Curve("live residual / px", lambda tilt: tilt.residual_px, RESIDUAL_LIMIT_PX),
    Curve("tracked shift / px", lambda tilt: math.hypot(*tilt.frame.shift_px)),
    Curve("mean counts", lambda tilt: tilt.frame.mean_counts, from_zero=False),
)


def curves_by_tilt(data: ReportData) -> str:
    """Return curves of residual, shift, counts and dose by tilt; empty without two frames."""
    page = curves_figure(data)
    if page is None:
        return ""
    caption = (
        "All recorded tilts. The residual is the shift between a frame and the re-projection of "
        f"the live volume at that time{_final_residuals(data)}. The dashed line is the limit above "
        "which three tilts in a row are an advice. Rings mark frames that were retaken or whose "
        "verdict is not “ok”." + _peaks(data)
    )
    return figure(as_svg(page), caption, "plot")


def plot_or_nothing(page: Figure | None, caption: str) -> str:
    """Return a plot with its caption; empty if there is nothing to draw."""
    return "" if page is None else figure(as_svg(page), caption, "plot")


def curves_figure(data: ReportData) -> Figure | None:
    """Return the curves by tilt as a figure; None without two frames."""
    if not any(len(data.status.series[name].tilts) > 1 for name in SERIES):
        return None
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 5.4), layout="constrained")
        draw_curves(page, data)
    return page


def draw_curves(page: FigureBase, data: ReportData) -> None:
    """Draw the curves by tilt into a figure or a part of it."""
    axes = page.subplots(2, 2, sharex=True)
    for axis, curve in zip(axes.flat, CURVES, strict=False):
        _draw(axis, data, curve)
    _draw_dose(axes[1, 1], data)
    for axis in axes[1]:
        axis.set_xlabel("tilt / degrees")
    page.legend(*axes[1, 0].get_legend_handles_labels(), ncols=2, loc="outside upper right")


def _peaks(data: ReportData) -> str:
    """Return what the tilts over the limit mean, by the residuals of the final alignment."""
    over = {
        name: [
            f"{tilt.frame.nominal_deg:+.0f}°"
            for tilt in data.status.series[name].by_angle
            if tilt.residual_px is not None and tilt.residual_px > RESIDUAL_LIMIT_PX
        ]
        for name in SERIES
    }
    named = " and ".join(f"{name} at {', '.join(found)}" for name, found in over.items() if found)
    if not named:
        return ""
    meaning = (
        "In the final alignment, made from all tilts, each of them fits: what was displaced was "
        "the re-projection of the tilts before, not the frame."
        if all(_all_fit(data, name) for name, found in over.items() if found)
        else "The final alignment does not show that each of them fits: look at these frames."
    )
    return f" Over the line: {named.replace('-', '−')}. {meaning}"


def _all_fit(data: ReportData, name: SeriesName) -> bool:
    """Return True if no tilt of the final alignment can be over the limit, given their rms."""
    found = (data.summary.get("series") or {}).get(name)
    if not found:
        return False
    largest_px: float = found["align_rms_px"] * found["tilts"] ** 0.5
    return largest_px < RESIDUAL_LIMIT_PX


def _final_residuals(data: ReportData) -> str:
    """Return the residuals of the final alignment; empty before it exists."""
    found = data.summary.get("series") or {}
    values = ", ".join(f"{name} {series['align_rms_px']:.2g} px" for name, series in found.items())
    return f"; that of the final alignment is {values} rms" if values else ""


def live_counts(data: ReportData) -> str:
    """Return the live counts by tilts used, without very uncertain ones; empty without counts."""
    page = counts_figure(data)
    if page is None:
        return ""
    caption = (
        "Particles counted while the series grew, from tilts of A, of B, or of both; the last "
        "point is the full reconstruction. The bands are the intervals of the counts. The axis "
        "does not begin at zero."
    )
    return figure(as_svg(page), caption, "plot")


def counts_figure(data: ReportData) -> Figure | None:
    """Return the live counts as a figure; None without three of one kind."""
    certain = {
        name: [point for point in data.status.counts[name].points if not point.is_wide]
        for name in COUNTED
        if name in data.status.counts
    }
    live = {name: points for name, points in certain.items() if len(points) > 2}
    if not live:
        return None
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
        axis.set_title("particles counted", loc="left", fontsize=9.5)
        axis.set_xlabel("tilts used")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(ncols=3, loc="lower right")
    return page


def _draw(axis: Axes, data: ReportData, curve: Curve) -> None:
    for name in SERIES:
        shown = [
            (tilt, value)
            for tilt in data.status.series[name].by_angle
            if (value := curve.value(tilt)) is not None
        ]
        if len(shown) < 2:
            continue
        axis.plot(
            [tilt.frame.nominal_deg for tilt, _ in shown],
            [value for _, value in shown],
            color=COLOURS[name],
            marker=MARKERS[name],
            label=f"series {name}",
        )
        marked = [
            (tilt.frame.nominal_deg, value)
            for tilt, value in shown
            if tilt.frame.verdict is not FrameVerdict.OK or tilt.frame.retakes
        ]
        if marked:
            axis.plot(*zip(*marked, strict=True), "o", ms=8, mfc="none", mec=COLOURS[name], ls="")
    if curve.limit is not None:
        axis.axhline(curve.limit, color=LIMIT, linestyle="--", linewidth=1)
    if not axis.get_legend_handles_labels()[0]:
        axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes)
    axis.set_ylim(*_y_range(axis, curve))
    axis.set_title(curve.title, loc="left", fontsize=9.5)


def _y_range(axis: Axes, curve: Curve) -> tuple[float, float]:
    """Return a y range with room for curve and limit, at least a tenth of the value wide."""
    low, high = axis.dataLim.intervaly
    if curve.limit is not None:
        high = max(high, 1.2 * curve.limit)
    if curve.from_zero:
        return 0.0, 1.05 * high or 1.0
    margin = max(0.15 * (high - low), 0.05 * high)
    return max(0.0, low - margin), high + margin


def _draw_dose(axis: Axes, data: ReportData) -> None:
    for name in SERIES:
        doses = [
            (event.frame.nominal_deg, event.dose_e_per_A2 / 1000) for event in _frames(data, name)
        ]
        if len(doses) > 1:
            axis.plot(*zip(*doses, strict=True), color=COLOURS[name], marker=MARKERS[name])
    budget = data.status.dose_budget_e_per_A2 / 1000
    used = data.status.dose_e_per_A2 / 1000
    if 0 < budget < 1.6 * used:
        axis.axhline(budget, color=LIMIT, linestyle="--", linewidth=1)
    axis.set_ylim(bottom=0)
    axis.set_title("cumulative dose / (ke/Å²)", loc="left", fontsize=9.5)


def _frames(data: ReportData, name: SeriesName) -> Iterable[FrameRecorded]:
    for record in data.records:
        if isinstance(record.event, FrameRecorded) and record.event.frame.series == name:
            yield record.event


def as_svg(page: Figure) -> str:
    """Return the figure as inline SVG in the colours and fonts of the page."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        page.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for stand_in, colour in PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg
