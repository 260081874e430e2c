"""SVG of one slice: image, scale bar, exit surface and particles."""

from __future__ import annotations

import base64
import io

import numpy as np
from matplotlib.image import imsave

from controller.report.html import text
from controller.report.volumes import Floats

_STROKE = (
    'fill="none" stroke="#ff9d3b" stroke-width="2" vector-effect="non-scaling-stroke" '
    'stroke-linejoin="round"'
)


def panel(image: Floats, side_nm: float, label: str, marks: str) -> str:
    """Return one slice as SVG in nanometres, +z or +y upwards."""
    return (
        f'<svg viewBox="0 0 {side_nm:.1f} {side_nm:.1f}" role="img" aria-label="{text(label)}">'
        f'<image href="{_png(image)}" width="{side_nm:.1f}" height="{side_nm:.1f}" '
        f'preserveAspectRatio="none"/>{_scale_bar(side_nm)}{marks}</svg>'
    )


def exit_line(points_nm: list[tuple[float, float]], side_nm: float) -> str:
    """Return the exit surface, and an arrow along the beam at 0 degrees."""
    if not points_nm:
        return ""
    half = side_nm / 2
    points = " ".join(f"{x + half:.1f},{half - z:.1f}" for x, z in points_nm)
    downwards = sum(z for _, z in points_nm) < 0
    tip, tail = (0.16, 0.05) if downwards else (0.84, 0.95)
    wing = tip - 0.03 if downwards else tip + 0.03
    x, y, z = (fraction * side_nm for fraction in (0.07, tip, tail))
    reach, back = 0.022 * side_nm, wing * side_nm
    arrow = f"M{x:.1f},{z:.1f} V{y:.1f} M{x - reach:.1f},{back:.1f} L{x:.1f},{y:.1f} "
    arrow += f"L{x + reach:.1f},{back:.1f}"
    word_y = 0.10 if downwards else 0.91
    return f'<polyline points="{points}" {_STROKE}/><path d="{arrow}" {_STROKE}/>' + _word(
        "beam", side_nm, x=0.11, y=word_y, anchor="start"
    )


def exit_frame(side_nm: float) -> str:
    """Return the frame around a slice on the exit side."""
    edge = side_nm / 120
    frame = (
        f'<rect x="{edge:.2f}" y="{edge:.2f}" width="{side_nm - 2 * edge:.2f}" '
        f'height="{side_nm - 2 * edge:.2f}" {_STROKE}/>'
    )
    return frame + _word("exit side", side_nm, x=0.04, y=0.085, anchor="start")


def particle_discs(table: Floats, side_nm: float, diameter_nm: float, middle_y_nm: float) -> str:
    """Return the sections of the spheres that the middle x-z plane cuts."""
    radius, half = diameter_nm / 2, side_nm / 2
    off_plane = table[:, 1] - middle_y_nm
    cut = np.abs(off_plane) < radius
    sections = np.sqrt(radius**2 - off_plane[cut] ** 2)
    circles = "".join(
        f'<circle cx="{x + half:.1f}" cy="{half - z:.1f}" r="{section:.1f}"/>'
        for (x, _, z), section in zip(table[cut], sections, strict=True)
    )
    return f'<g fill="#c9ced3">{circles}</g>'


def _scale_bar(side_nm: float) -> str:
    length = max(n for n in (5, 10, 20, 50, 100, 200) if n <= side_nm / 3 or n == 5)
    x, y = side_nm * 0.96 - length, side_nm * 0.955
    bar = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{length}" height="{side_nm / 90:.1f}" fill="#fff"/>'
    )
    return bar + _word(f"{length} nm", side_nm, x=0.96, y=0.945, anchor="end")


def _word(word: str, side_nm: float, x: float, y: float, anchor: str) -> str:
    return (
        f'<text x="{x * side_nm:.1f}" y="{y * side_nm:.1f}" font-size="{side_nm / 22:.1f}" '
        f'fill="#fff" stroke="#000" stroke-width="{side_nm / 160:.2f}" paint-order="stroke" '
        f'text-anchor="{anchor}">{text(word)}</text>'
    )


def _png(image: Floats) -> str:
    """Return an image as a data URI; row 0 of the array is the bottom."""
    low, high = 0.0, float(np.percentile(image, 99.7))
    grey = np.clip(image / max(high - low, 1e-12), 0, 1)
    buffer = io.BytesIO()
    imsave(buffer, grey, cmap="gray", vmin=0, vmax=1, origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
