"""Section on the particles' own diameters: distribution, and size against depth and radius."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from controller.report.html import figure, number, section, table
from controller.report.plots import INK, LIMIT, STYLE, as_svg
from controller.report.report_data import PROCESSED, Json, ReportData
from controller.report.views.particle_columns import Bodies, read_bodies
from controller.report.volumes import Floats

GROUPS = 10
"""Number of groups of equally many particles in a plot of size against place."""
FEWEST = 20
"""Fewest particles for the plots."""
CERTAIN = 2.0
"""Smallest spread that is told apart from none, in standard errors."""
ONE_SIDED_95 = 1.645
POINTS = "#8a9097"
"""Colour of single particles, on light and on dark pages."""


def sizes(data: ReportData) -> str:
    """Return the section on the diameters; empty if they were not measured one by one."""
    found: Json = data.summary.get("diameter_nm") or {}
    if not found.get("mean"):
        return ""
    plots = _plots(data, found["se_rms"])
    return section("Sizes", _kinds(found.get("kinds") or []), plots, lead=_lead(found))


def _lead(found: Json) -> str:
    inside = " inside a kind" if found.get("kinds") else ""
    return (
        f"Mean diameter {_mean(found)}; spread{inside} {_spread(found)}. "
        f"The standard error of one particle's diameter is {number(found['se_rms'], '.2f', 'nm')} "
        "(rms), and the spread is corrected for it. All diameters share the error of the mean, "
        "which these errors do not contain. "
        "The error of the spread is that of chance; the spread may be half a percentage point off."
    )


def _mean(found: Json) -> str:
    """Return the mean diameter with its standard error, if that is known."""
    if not found.get("scale_se"):
        return number(found["mean"], ".2f", "nm")
    return f"{number(found['mean'], '.2f')} ± {number(found['scale_se'], '.2f', 'nm')}"


def _spread(found: Json) -> str:
    """Return a spread with its error, or its upper limit where it is not told apart from none."""
    mean, spread, error = (found[key] for key in ("mean", "spread", "spread_se"))
    if spread < CERTAIN * error:
        limit = spread + ONE_SIDED_95 * error
        return f"not measurable, under {number(100 * limit / mean, '.1f', '%')} (95 %)"
    return (
        f"{number(spread, '.3f')} ± {number(error, '.3f', 'nm')}, "
        f"{number(100 * spread / mean, '.2f')} ± {number(100 * error / mean, '.2f', '%')}"
    )


def _kinds(kinds: Sequence[Json]) -> str:
    whole = sum(kind["particles"] for kind in kinds)
    rows = [
        (
            kind.get("name") or number(place),
            number(kind["diameter_nm"], ".2f"),
            number(kind.get("signal"), ".2f"),
            f"{number(kind['particles'])} ({number(kind['n_low'])} to {number(kind['n_high'])})",
            f"{number(100 * kind['particles'] / whole, '.1f', '%')} "
            f"({number(100 * kind['share_low'], '.1f')} to "
            f"{number(100 * kind['share_high'], '.1f')})",
            _spread(kind | {"mean": kind["diameter_nm"]}),
        )
        for place, kind in enumerate(kinds, start=1)
        if kind.get("spread") is not None and whole
    ]
    head = ("kind", "diameter, nm", "signal", "particles (95 %)", "share (95 %)", "spread")
    return table(head, rows) if rows else ""


def _plots(data: ReportData, error_nm: float) -> str:
    bodies = _particles(data)
    if bodies is None or len(bodies) < FEWEST:
        return ""
    diameter = bodies.diameters_nm
    middle = bodies.centres_nm.mean(axis=0)
    radius = np.linalg.norm(bodies.centres_nm - middle, axis=1)
    with mpl.rc_context(STYLE):
        page = Figure(figsize=(10.2, 2.8), layout="constrained")
        left, centre, right = page.subplots(1, 3)
        left.hist(diameter, bins=_bins(len(diameter)), color=INK, alpha=0.7)
        left.set_xlabel("diameter / nm")
        left.set_ylabel("particles")
        _against(centre, bodies.centres_nm[:, 2], diameter, error_nm, "height z / nm")
        _against(right, radius, diameter, error_nm, "distance from the middle / nm")
        svg = as_svg(page)
    caption = (
        "Distribution of the measured diameters, which their errors widen, and diameter against "
        "height and distance from the middle. Points are particles; bars are means of equally "
        "many particles with their errors. The error of a single diameter "
        f"({number(error_nm, '.2f', 'nm')}) is part of each bar: errors of the beam's model change "
        "smoothly with the place and do not average out. A slope within the bars does not show "
        "that the particles are sorted by size."
    )
    return figure(svg, caption, "plot")


def _against(axis: Axes, place: Floats, diameter: Floats, error_nm: float, label: str) -> None:
    axis.plot(place, diameter, ".", color=POINTS, alpha=0.5, markeredgewidth=0, rasterized=True)
    parts = np.array_split(np.argsort(place), GROUPS)
    means = [float(diameter[part].mean()) for part in parts]
    errors = [float(np.hypot(error_nm, diameter[part].std() / len(part) ** 0.5)) for part in parts]
    at = [float(place[part].mean()) for part in parts]
    axis.errorbar(at, means, errors, color=LIMIT, capsize=2)
    axis.set_xlabel(label)
    axis.set_ylabel("diameter / nm")


def _bins(particles: int) -> int:
    return int(np.clip(np.sqrt(particles), 8, 40))


def _particles(data: ReportData) -> Bodies | None:
    """Return the counted particles of the last table; None if there is none."""
    for name in ("fused", "A"):
        bodies = read_bodies(data.folder, f"{PROCESSED}/particles_{name}.csv")
        if bodies is not None:
            counted = bodies.counted
            return Bodies(bodies.centres_nm[counted], bodies.diameters_nm[counted], {})
    return None
