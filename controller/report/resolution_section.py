"""Resolution of the volumes, as `dualtilt fsc` measured it."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controller.report.html import number, section, table
from controller.report.plots import COLOURS, INK, LIMIT, MARKERS, STYLE, plot_or_nothing
from controller.report.report_data import Json, ReportData

Curve = list[tuple[float, float]]
COLUMNS = ("volume", "sector", "depth_nm", "frequency_per_nm", "correlation")
DIRECTIONS = {
    "all": "all directions",
    "x": "across A's tilt axis (x)",
    "y": "along A's tilt axis (y)",
    "z": "along the beam at 0° (z)",
}


def resolution(data: ReportData) -> str:
    """Return the resolution by direction as a table, and its plots; empty if not measured."""
    parts: list[Json] = data.resolution.get("parts") or []
    if not parts:
        return ""
    limit_nm = float(data.resolution["voxel_limit_nm"])
    return section("Resolution", _by_direction(parts, limit_nm), _plots(data))


def _by_direction(parts: list[Json], limit_nm: float) -> str:
    volumes = list(dict.fromkeys(part["volume"] for part in parts))
    whole = {
        (part["sector"], part["volume"]): part["resolution_nm"]
        for part in parts
        if part["depth_nm"] is None
    }
    rows = [
        (words, *(_value(whole.get((sector, volume)), limit_nm) for volume in volumes))
        for sector, words in DIRECTIONS.items()
    ]
    return table(("", *volumes), rows)


def _value(resolution_nm: float | None, limit_nm: float) -> str:
    if resolution_nm is None:
        return f"&lt; {number(limit_nm, '.2g', 'nm')}"
    return number(resolution_nm, ".1f", "nm")


def _plots(data: ReportData) -> str:
    caption = (
        "Fourier shell correlation of two reconstructions from every second tilt each, over all "
        "directions; and the finest detail that they agree on (correlation 0.143) by depth. A "
        "series loses detail where its beam leaves the assembly: A at low z, B at high z. "
        "The dashed lines are 0.143, and two voxels, the limit of the grid."
    )
    return plot_or_nothing(resolution_figure(data), caption)


def resolution_figure(data: ReportData) -> Figure | None:
    """Return the correlation by frequency and the resolution by depth; None if not measured."""
    curves, layers = _curves(data), _layers(data)
    drawn: list[Callable[[Axes], None]] = []
    if curves:
        drawn.append(lambda axis: _draw_curves(axis, curves, data.resolution["threshold"]))
    if layers:
        limit_nm = float(data.resolution["voxel_limit_nm"])
        drawn.append(lambda axis: _draw_depths(axis, layers, limit_nm))
    if not drawn:
        return None
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.8), layout="constrained")
        axes = page.subplots(1, len(drawn), squeeze=False)[0]
        for axis, draw in zip(axes, drawn, strict=True):
            draw(axis)
        page.legend(*axes[0].get_legend_handles_labels(), ncols=3, loc="outside upper right")
    return page


def _curves(data: ReportData) -> dict[str, Curve]:
    """Return frequency and correlation of each whole volume in all directions."""
    table = data.columns("resolution.csv") if data.resolution else {}
    found: dict[str, Curve] = {}
    try:
        cells = [table[name] for name in COLUMNS]
        for volume, sector, depth, frequency, correlation in zip(*cells, strict=True):
            if sector == "all" and not depth:
                found.setdefault(volume, []).append((float(frequency), float(correlation)))
    except (KeyError, ValueError):
        return {}
    return {volume: curve for volume, curve in found.items() if len(curve) > 1}


def _layers(data: ReportData) -> dict[str, Curve]:
    """Return height and resolution of the layers of each volume; a limited one has two voxels."""
    found: dict[str, Curve] = {}
    for part in data.resolution.get("parts") or []:
        if part["depth_nm"] is not None:
            finest_nm = part["resolution_nm"] or float(data.resolution["voxel_limit_nm"])
            found.setdefault(part["volume"], []).append((part["depth_nm"], finest_nm))
    return {volume: layers for volume, layers in found.items() if len(layers) > 1}


def _draw_curves(axis: Axes, curves: dict[str, Curve], threshold: float) -> None:
    for volume, curve in curves.items():
        axis.plot(*zip(*curve, strict=True), color=COLOURS.get(volume, INK), label=volume)
    axis.axhline(threshold, color=LIMIT, linestyle="--", linewidth=0.8)
    axis.set_title("Fourier shell correlation", loc="left", fontsize=9.5)
    axis.set_xlabel("spatial frequency / nm⁻¹")


def _draw_depths(axis: Axes, layers: dict[str, Curve], limit_nm: float) -> None:
    for volume, curve in layers.items():
        axis.plot(
            *zip(*curve, strict=True),
            color=COLOURS.get(volume, INK),
            marker=MARKERS.get(volume, "o"),
            label=volume,
        )
    axis.axhline(limit_nm, color=LIMIT, linestyle="--", linewidth=0.8)
    axis.set_ylim(bottom=0)
    axis.set_title("resolution / nm, smaller is better", loc="left", fontsize=9.5)
    axis.set_xlabel("z / nm in the frame of A: its beam enters on the right")
