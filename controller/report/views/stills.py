"""Still pictures of the particles, for readers without WebGL and for paper."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from scipy import ndimage

from controller.report.plots import INK
from controller.report.views.assembly import Assembly
from controller.report.views.particle_columns import SEEN_BY_NAMES, Bodies, Colouring

VIEW_FROM = np.array([0.42, -0.84, 0.34]) / np.linalg.norm([0.42, -0.84, 0.34])
"""Direction to the reader, as in the views at first."""
_RIGHT = np.cross([0, 0, 1], VIEW_FROM) / np.linalg.norm(np.cross([0, 0, 1], VIEW_FROM))
VIEW_AXES = np.stack([_RIGHT, np.cross(VIEW_FROM, _RIGHT), VIEW_FROM])
"""Directions of the pictures in the coordinates of A: right, up, and to the reader."""
SEEN_COLOURS = ("#c6c9cc", "#2f74c9", "#e8801a", "#1f9d6b")
"""Colours of the series that show a particle, as in the views."""
DARKEST = 0.35
"""Brightness of the farthest particle."""
EDGE = 0.45
"""Brightness of a particle's edge."""


def draw_particles(axis: Axes, assembly: Assembly, name: str) -> None:
    """Draw the particles of one table as discs, the far ones darker, in a square field."""
    bodies, reach_nm = assembly.tables[name], assembly.reach_nm
    across, up, depth = VIEW_AXES @ (bodies.centres_nm - assembly.middle_nm).astype(float).T
    order = np.argsort(depth)
    order = order[_can_be_seen(across, up, depth, float(np.median(bodies.diameters_nm)))[order]]
    faces = _colours(bodies, assembly.seen_by[name])[order] * _brightness(depth)[order, None]
    sizes = bodies.diameters_nm[order]
    axis.add_collection(
        EllipseCollection(
            sizes,
            sizes,
            np.zeros(len(sizes)),
            units="xy",
            offsets=np.stack([across[order], up[order]], axis=-1),
            offset_transform=axis.transData,
            facecolors=faces,
            edgecolors=EDGE * faces,
            linewidths=0.3,
        )
    )
    axis.set(xlim=(-reach_nm, reach_nm), ylim=(-reach_nm, reach_nm), aspect="equal")
    axis.set_axis_off()


def draw_scale(axis: Axes, reach_nm: float) -> None:
    """Draw a bar of a round length in the lower left corner of a field of this half width."""
    longest_nm = 2 / 3 * reach_nm
    power = 10.0 ** math.floor(math.log10(longest_nm))
    length_nm = next(step * power for step in (5, 2, 1) if step * power <= longest_nm)
    left, low = -0.97 * reach_nm, axis.get_ylim()[0] + 0.05 * reach_nm
    axis.plot([left, left + length_nm], [low, low], color=INK, linewidth=2, solid_capstyle="butt")
    axis.text(left, low + 0.03 * reach_nm, f"{length_nm:g} nm", fontsize=7, color=INK)


def _can_be_seen(
    across: NDArray[np.float64],
    up: NDArray[np.float64],
    depth: NDArray[np.float64],
    diameter_nm: float,
) -> NDArray[np.bool_]:
    """Return False for particles with a nearer one on each side; drawing them takes most time."""
    cells = np.floor(np.stack([up, across]) / diameter_nm).astype(int)
    cells -= cells.min(axis=1, keepdims=True)
    nearest = np.full(cells.max(axis=1) + 1, -np.inf)
    np.maximum.at(nearest, tuple(cells), depth)
    around = ndimage.minimum_filter(nearest, 3, mode="constant", cval=-np.inf)
    return np.asarray(depth > around[tuple(cells)] - 5 * diameter_nm)


def _colours(bodies: Bodies, seen_by: Colouring | None) -> NDArray[np.float64]:
    palette = np.array([to_rgb(colour) for colour in SEEN_COLOURS])
    if seen_by is None:
        return np.broadcast_to(palette[0], (len(bodies), 3))
    return np.asarray(palette[seen_by.values])


def legend_of_series() -> list[Line2D]:
    """Return a dot with its words for each colour of the particles of two series."""
    return [
        Line2D([], [], linestyle="", marker="o", color=colour, label=name)
        for name, colour in zip(SEEN_BY_NAMES, SEEN_COLOURS, strict=True)
    ]


def _brightness(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    nearness = (depth - depth.min(initial=0)) / max(float(np.ptp(depth)), 1e-9)
    return np.asarray(DARKEST + (1 - DARKEST) * nearness)


def particle_panels(assembly: Assembly) -> Figure:
    """Return the particles of each table side by side."""
    count = len(assembly.tables)
    page = Figure(figsize=(3.2 * count, 3.2), facecolor="none")
    for place, name in enumerate(assembly.tables):
        axis = page.add_axes((place / count, 0, 1 / count, 1))
        draw_particles(axis, assembly, name)
    return page


def as_data_uri(page: Figure) -> str:
    """Return a figure as a PNG data URI."""
    content = io.BytesIO()
    page.savefig(content, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
