"""Still pictures of the isosurfaces, as the views show them at first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from scipy import ndimage

from controller.report.plots import INK
from controller.report.views.assembly import Assembly
from controller.report.views.isosurfaces import CoarseVolume, Surface, grey_values
from controller.report.views.stills import VIEW_AXES, draw_scale
from controller.report.volumes import Floats

SIDE_PX = 600
STEP_SAMPLES = 0.5
"""Distance of two points along a ray, in samples of the volume."""
SMOOTH_SAMPLES = 0.7
"""Sigma of the smoothing before slopes are taken, which light shows."""
LIGHT = np.array([-0.35, 0.45, 0.82]) / np.linalg.norm([-0.35, 0.45, 0.82])
"""Direction to the light: right, up, and to the reader."""
AMBIENT = 0.35
"""Brightness of what faces away from the light."""
DARKEST = 0.55
"""Brightness of the farthest part, as a fraction of the nearest."""
PALE = np.array([0.84, 0.85, 0.87])
EXIT_COLOUR = "#ff7a00"
EXIT_OPACITY = 0.3
BEAM_FROM, BEAM_TO = 1.22, 1.0
"""Ends of the arrow along the beam, from the middle, in radii of the picture."""


@dataclass(frozen=True)
class Hits:
    """Points where the rays through a square picture first meet a surface."""

    depth_nm: NDArray[np.float64]
    """[row, column], towards the reader from the middle of the picture; NaN beside the surface."""
    normals: NDArray[np.float64]
    """[row, column, (right, up, to the reader)]."""


def first_hits(coarse: CoarseVolume, level: float, assembly: Assembly) -> Hits:
    """Follow the rays of a picture about the assembly to the isosurface at a grey value."""
    values, pose, reach_nm = grey_values(coarse.values), coarse.pose, assembly.reach_nm
    along = ((np.arange(SIDE_PX) + 0.5) / SIDE_PX * 2 - 1) * reach_nm
    up, across = np.meshgrid(along, along, indexing="ij")
    top = np.sqrt(np.maximum(reach_nm**2 - up**2 - across**2, 0))
    through = top > 0
    starts_nm = np.stack([across[through], up[through], top[through]], axis=-1)
    turned = VIEW_AXES @ pose.matrix / pose.scale  # directions of the picture in its own frame
    middle = (assembly.middle_nm - pose.shift_nm) @ pose.matrix / pose.scale
    starts = ((middle + starts_nm @ turned - coarse.first_nm) / coarse.step_nm)[:, ::-1].T
    step_nm = STEP_SAMPLES * coarse.step_nm * pose.scale
    move = -turned[2, ::-1] * step_nm / coarse.step_nm
    steps = _steps_to(values, level, starts, move, 2 * top[through] / step_nm)
    met = starts + move[:, None] * np.nan_to_num(steps)
    slopes = np.gradient(ndimage.gaussian_filter(values, SMOOTH_SAMPLES))
    inwards = np.stack([_values_at(slope, met) for slope in slopes[::-1]], axis=-1)
    outwards = -inwards @ turned.T
    hits = Hits(np.full(up.shape, np.nan), np.zeros((*up.shape, 3)))
    hits.depth_nm[through] = top[through] - steps * step_nm
    hits.normals[through] = outwards / np.maximum(np.linalg.norm(outwards, axis=1), 1e-12)[:, None]
    return hits


def _steps_to(
    values: Floats,
    level: float,
    starts: NDArray[np.float64],
    move: NDArray[np.float64],
    most: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return after how many steps, at `most`, each ray meets the level first; NaN if it does not.

    `starts` [(z, y, x), ray] and `move` [(z, y, x)] are in samples.
    """
    found = np.full(len(most), np.nan)
    going = np.arange(len(most))
    before = np.zeros(len(most))
    number = 0
    while len(going):
        here = _values_at(values, starts[:, going] + number * move[:, None])
        met = here >= level
        found[going[met]] = number - (here[met] - level) / (here[met] - before[met])
        number += 1
        remain = ~met & (most[going] >= number)
        going, before = going[remain], here[remain]
    return found


def _values_at(values: Floats, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ndimage.map_coordinates(values, places, order=1), float)


def shaded(hits: Hits) -> NDArray[np.float64]:
    """Return the picture of a lit surface, [row, column, RGBA], clear beside the surface."""
    light = np.maximum(hits.normals @ LIGHT, 0)
    brightness = AMBIENT + (1 - AMBIENT) * light
    met = np.isfinite(hits.depth_nm)
    depth_nm = hits.depth_nm[met]
    nearness = np.zeros(met.shape)
    if len(depth_nm):
        nearness[met] = (depth_nm - depth_nm.min()) / max(float(np.ptp(depth_nm)), 1e-9)
    brightness *= DARKEST + (1 - DARKEST) * nearness
    return np.concatenate([brightness[..., None] * PALE, met[..., None]], axis=-1)


def draw_isosurface(axis: Axes, hits: Hits, assembly: Assembly) -> None:
    """Draw a lit surface in a field with room for the arrow of a beam above and below."""
    reach_nm = assembly.reach_nm
    _show(axis, shaded(hits), reach_nm)
    axis.set(xlim=(-reach_nm, reach_nm), ylim=(-BEAM_FROM * reach_nm, BEAM_FROM * reach_nm))
    axis.set_axis_off()
    draw_scale(axis, reach_nm)


def draw_exit(axis: Axes, surface: Surface, hits: Hits, assembly: Assembly, beam_z: int) -> None:
    """Draw the parts of an exit surface that nothing hides, and an arrow along the beam."""
    reach_nm = assembly.reach_nm
    corners = (surface.corners_nm - assembly.middle_nm) @ VIEW_AXES.T / reach_nm
    triangles = corners[surface.triangles]
    column, row, depth = triangles.mean(axis=1).T
    pixels = ((np.stack([row, column]) + 1) / 2 * SIDE_PX).astype(int)
    hidden = hits.depth_nm[tuple(np.clip(pixels, 0, SIDE_PX - 1))] > depth * reach_nm
    covered = _covered(triangles[~hidden, :, :2])
    tint = np.broadcast_to(to_rgb(EXIT_COLOUR), (*covered.shape, 3))
    _show(axis, np.concatenate([tint, EXIT_OPACITY * covered[..., None]], axis=-1), reach_nm)
    tail, head = (-beam_z * part * reach_nm * VIEW_AXES[1, 2] for part in (BEAM_FROM, BEAM_TO))
    arrow = {
        "arrowstyle": "-|>",
        "color": EXIT_COLOUR,
        "linewidth": 1.5,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axis.annotate("", (0, head), (0, tail), arrowprops=arrow)
    axis.text(0.03 * reach_nm, tail, "beam at 0°", va="center", fontsize=7, color=INK)


def _show(axis: Axes, picture: NDArray[np.float64], reach_nm: float) -> None:
    axis.imshow(picture, origin="lower", extent=(-reach_nm, reach_nm, -reach_nm, reach_nm))


def _covered(triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how much of each pixel triangles [n, corner, (right, up)] from -1 to 1 cover."""
    page = Figure(figsize=(1, 1), dpi=SIDE_PX)
    canvas: Any = FigureCanvasAgg(page)
    axis = page.add_axes((0, 0, 1, 1))
    axis.set(xlim=(-1, 1), ylim=(-1, 1))
    axis.set_axis_off()
    covering = PolyCollection(list(triangles), facecolors="k", edgecolors="k", linewidths=0.05)
    axis.add_collection(covering)
    canvas.draw()
    return 1 - np.asarray(canvas.buffer_rgba())[::-1, :, 0] / 255


def legend_of_exit() -> Patch:
    """Return a patch with its words for the exit surface."""
    return Patch(color=EXIT_COLOUR, alpha=EXIT_OPACITY, label="exit surface of the series")
