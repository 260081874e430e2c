"""Plots of the structure: g(r) and S(q), and the distances of neighbours in each layer."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controller.report.plots import INK, STYLE, plot_or_nothing
from controller.report.report_data import Json, ReportData

CORRELATIONS = (
    ("structure_g_r.csv", "r_nm", "g", "g(r)", "r / nm"),
    ("structure_s_q.csv", "q_per_nm", "s", "S(q)", "q / nm⁻¹"),
)
"""Table, its columns of x and y, title and x label of each plot."""
BAND = 0.16
"""Opacity of errors and spreads."""


def correlation_plots(data: ReportData) -> str:
    """Return g(r) and S(q); empty if they were not measured."""
    caption = (
        "Pair correlation and structure factor, corrected for the finite assembly by a uniform "
        "body of its own shape. A band is one standard error to each side."
    )
    return plot_or_nothing(correlations_figure(data), caption)


def correlations_figure(data: ReportData) -> Figure | None:
    """Return g(r) and S(q) as a figure; None if neither has two points."""
    measured = [(plot, columns) for plot in CORRELATIONS if (columns := _numbers(data, *plot[:3]))]
    if not measured:
        return None
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.6), layout="constrained")
        axes = page.subplots(1, len(measured), squeeze=False)[0]
        for axis, ((_, x, y, title, label), columns) in zip(axes, measured, strict=True):
            if "error" in columns:
                _draw_band(axis, columns[x], columns[y], columns["error"])
            axis.plot(columns[x], columns[y], color=INK)
            axis.set_ylim(bottom=0)
            axis.set_title(title, loc="left", fontsize=9.5)
            axis.set_xlabel(label)
    return page


def _numbers(data: ReportData, name: str, x: str, y: str) -> dict[str, list[float]]:
    """Return the columns of a table of numbers; empty without `x` and `y` of two points."""
    try:
        columns = {
            head: [float(cell) for cell in cells] for head, cells in data.columns(name).items()
        }
    except ValueError:
        return {}
    return columns if min(len(columns.get(needed, ())) for needed in (x, y)) > 1 else {}


def layer_plot(data: ReportData) -> str:
    """Return the distances of neighbours by depth; empty without two layers."""
    caption = (
        "Mean distance of neighbours in each layer, with its standard error; the band is the "
        "spread of the single distances. The axis does not begin at zero."
    )
    return plot_or_nothing(layers_figure(data), caption)


def layers_figure(data: ReportData) -> Figure | None:
    """Return the distances of neighbours by depth as a figure; None without two layers."""
    layers: list[Json] = (data.summary.get("structure") or {}).get("layers") or []
    if len(layers) < 2:
        return None
    depths = [layer["depth_nm"] for layer in layers]
    means = [layer["neighbour_distance_nm"]["value"] for layer in layers]
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.6), layout="constrained")
        axis = page.subplots()
        _draw_band(axis, depths, means, [layer["neighbour_spread_nm"] for layer in layers])
        errors = [layer["neighbour_distance_nm"]["error"] for layer in layers]
        axis.errorbar(depths, means, errors, color=INK, marker="o", capsize=2.5)
        axis.set_title("distance of neighbours / nm", loc="left", fontsize=9.5)
        axis.set_xlabel("depth below the surface / nm")
    return page


def _draw_band(axis: Axes, x: list[float], y: list[float], half: list[float]) -> None:
    low = [value - width for value, width in zip(y, half, strict=True)]
    high = [value + width for value, width in zip(y, half, strict=True)]
    axis.fill_between(x, low, high, color=INK, alpha=BAND, linewidth=0)
