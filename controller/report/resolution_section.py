"""Resolution of the volumes, as `dualtilt fsc` measured it."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from controller.report.html import figure, number, section, table
from controller.report.plots import COLOURS, INK, LIMIT, MARKERS, STYLE, as_svg
from controller.report.report_data import Json, ReportData

DIRECTIONS = {
    "all": "all directions",
    "x": "across A's tilt axis (x)",
    "y": "along A's tilt axis (y)",
    "z": "along the beam at 0° (z)",
}


def resolution(data: ReportData) -> str:
    """Return the resolution by direction as a table, by depth as a curve; empty if not measured."""
    parts: list[Json] = data.resolution.get("parts") or []
    if not parts:
        return ""
    limit_nm = float(data.resolution["voxel_limit_nm"])
    return section("Resolution", _by_direction(parts, limit_nm), _by_depth(parts, limit_nm))


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


def _by_depth(parts: list[Json], limit_nm: float) -> str:
    layers = [part for part in parts if part["depth_nm"] is not None]
    if not layers:
        return ""
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.8), layout="constrained")
        axis = page.subplots()
        for volume in dict.fromkeys(part["volume"] for part in layers):
            own = [part for part in layers if part["volume"] == volume]
            axis.plot(
                [part["depth_nm"] for part in own],
                [part["resolution_nm"] or limit_nm for part in own],
                color=COLOURS.get(volume, INK),
                marker=MARKERS.get(volume, "o"),
                label=volume,
            )
        axis.axhline(limit_nm, color=LIMIT, linestyle="--", linewidth=0.8)
        axis.set_ylim(bottom=0)
        axis.set_title("resolution / nm, smaller is better", loc="left", fontsize=9.5)
        axis.set_xlabel("z / nm in the frame of A: its beam enters on the right")
        axis.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
        svg = as_svg(page)
    caption = (
        "Finest detail that two reconstructions agree on, from every second tilt each (Fourier "
        "shell correlation 0.143). A series loses detail where its beam leaves the assembly: A on "
        "the left, B on the right. The dashed line is two voxels, the limit of the grid."
    )
    return figure(svg, caption, "plot")
