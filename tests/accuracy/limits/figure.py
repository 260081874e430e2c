"""The figure of docs/limits.md: F1 and verdict over tilt step and dose, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from processing.results import Trust
from tests.accuracy.limits.cases import DOSES
from tests.accuracy.limits.measure import Given, Row
from tests.accuracy.limits.page import SERIES, is_trusted_and_wrong

SIDE, WIDE, LEFT, TOP = 46, 92, 70, 48
"""Height and width of a cell, and the margins of one map."""
COLOURS = ((0.9995, "#2b7a4b"), (0.99, "#8cc084"), (0.95, "#f0d264"), (0.8, "#e58f45"))
"""Colour of a cell by its lowest F1: the first limit that it reaches."""
WORST, NOTHING = "#c23b3b", "#d8d8d8"


def figure(rows: Sequence[Row]) -> str:
    """Return the maps of one series and of both, one row of maps for each size."""
    product = [row for row in rows if row.given == Given.NOTHING]
    specimens = sorted({row.specimen for row in product})
    steps = sorted({row.step_deg for row in product})
    width, height = LEFT + len(DOSES) * WIDE + 30, TOP + len(steps) * SIDE + 20
    parts = []
    for down, specimen in enumerate(specimens):
        for along, (title, names) in enumerate(SERIES.items()):
            own = [row for row in product if row.specimen == specimen and row.series in names]
            inner = _map(own, f"{title}, {specimen}", steps)
            parts.append(f'<g transform="translate({along * width},{down * height})">{inner}</g>')
    whole = len(SERIES) * width, len(specimens) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]} {whole[1]}" '
        f'width="{whole[0]}" height="{whole[1]}" font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _map(rows: Sequence[Row], title: str, steps: Sequence[float]) -> str:
    parts = [f'<text x="{LEFT}" y="16" font-weight="bold">{title}</text>']
    for column, dose in enumerate(DOSES):
        parts.append(_text(LEFT + (column + 0.5) * WIDE, TOP - 8, f"dose {dose}"))
    for line, step_deg in enumerate(steps):
        parts.append(_text(LEFT / 2, TOP + (line + 0.55) * SIDE, f"{step_deg:g} degrees"))
        for column, dose in enumerate(DOSES):
            here = [row for row in rows if row.step_deg == step_deg and row.dose == dose]
            parts.append(_cell(here, LEFT + column * WIDE, TOP + line * SIDE))
    return "".join(parts)


def _cell(rows: Sequence[Row], x: float, y: float) -> str:
    made = [row.f1 for row in rows if row.verdict is not Trust.REFUSED]
    lowest = min(made) if made else 0.0
    colour = next((name for limit, name in COLOURS if lowest >= limit), WORST)
    edge = "#c00000" if any(map(is_trusted_and_wrong, rows)) else "white"
    box = (
        f'<rect x="{x + 2}" y="{y + 2}" width="{WIDE - 4}" height="{SIDE - 4}" '
        f'fill="{colour if made else NOTHING}" stroke="{edge}" stroke-width="3"/>'
    )
    trusted = sum(row.verdict is Trust.TRUSTED for row in rows)
    lines = (f"{lowest:.4f}" if made else "no count", f"{trusted}/{len(rows)} trusted")
    if not rows:
        lines = ("", "")
    middle = x + WIDE / 2
    return box + _text(middle, y + 20, lines[0]) + _text(middle, y + 36, lines[1])


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="middle">{text}</text>'
