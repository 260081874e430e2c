"""Curves drawn with braille characters, two by four dots per cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controller.ui.chart import Chart, Curve, Point, y_range

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of the dot at (row, column) of a cell."""
_BLANK = 0x2800


@dataclass
class Canvas:
    """Cells of braille dots; `ink` names the curve that drew last in each cell."""

    rows: int
    cols: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    names: dict[tuple[int, int], str] = field(default_factory=dict)
    """Letters that name a curve without colour, by (row, column) of the cell."""
    bits: list[list[int]] = field(init=False)
    ink: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.bits = [[0] * self.cols for _ in range(self.rows)]
        self.ink = [[""] * self.cols for _ in range(self.rows)]

    def dot_at(self, point: Point) -> tuple[int, int]:
        """Return the dot (row, column) of a point, row 0 at the top; it may lie outside."""
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        across = (point[0] - x0) / ((x1 - x0) or 1.0)
        up = (point[1] - y0) / ((y1 - y0) or 1.0)
        return round((1 - up) * (4 * self.rows - 1)), round(across * (2 * self.cols - 1))

    def dot(self, row: int, col: int, ink: str) -> None:
        """Set one dot; ignore a dot outside."""
        if 0 <= row < 4 * self.rows and 0 <= col < 2 * self.cols:
            self.bits[row // 4][col // 2] |= _DOTS[row % 4][col % 2]
            self.ink[row // 4][col // 2] = ink

    def line(self, start: Point, end: Point, ink: str) -> None:
        """Draw a line between two points."""
        (r0, c0), (r1, c1) = self.dot_at(start), self.dot_at(end)
        steps = max(abs(r1 - r0), abs(c1 - c0), 1)
        for step in range(steps + 1):
            self.dot(
                round(r0 + (r1 - r0) * step / steps), round(c0 + (c1 - c0) * step / steps), ink
            )

    def rows_of_text(self) -> list[list[tuple[str, str]]]:
        """Return each row as runs of (characters, ink)."""
        glyphs = [[chr(_BLANK + bit) for bit in row] for row in self.bits]
        for (row, col), name in self.names.items():
            glyphs[row][col] = name[0]
        return [list(_runs(row, ink)) for row, ink in zip(glyphs, self.ink, strict=True)]

    def name_end(self, curve: Curve) -> None:
        """Write the letter of a curve beside its last point."""
        row, col = self.dot_at(curve.points[-1])
        row, col = row // 4, min(col // 2 + 1, self.cols - 1)
        while (row, col) in self.names:
            row += 1
        if 0 <= row < self.rows and col >= 0:
            self.names[row, col] = curve.name
            self.ink[row][col] = curve.name


def draw(chart: Chart, rows: int, cols: int) -> Canvas:
    """Draw a chart's curves and its limit line."""
    canvas = Canvas(rows, cols, chart.x_range, y_range(chart))
    if chart.limit is not None:
        row, _ = canvas.dot_at((chart.x_range[0], chart.limit))
        for col in range(0, 2 * cols, 4):  # dashed, unlike any curve
            canvas.dot(row, col, "limit")
            canvas.dot(row, col + 1, "limit")
    drawn = [curve for curve in chart.curves if curve.shows_change]
    for curve in drawn:
        _draw_curve(canvas, curve)
    if len(drawn) > 1:
        for curve in drawn:
            canvas.name_end(curve)
    return canvas


def _draw_curve(canvas: Canvas, curve: Curve) -> None:
    for (x, _), (low, high) in zip(curve.points, curve.bars, strict=False):
        canvas.line((x, low), (x, high), curve.name)
    if curve.joined:
        for start, end in zip(curve.points, curve.points[1:], strict=False):
            canvas.line(start, end, curve.name)
    for point in curve.points:
        canvas.dot(*canvas.dot_at(point), curve.name)


def _runs(glyphs: Sequence[str], ink: Sequence[str]) -> Iterable[tuple[str, str]]:
    start = 0
    for end in range(1, len(glyphs) + 1):
        if end == len(glyphs) or ink[end] != ink[start]:
            yield "".join(glyphs[start:end]), ink[start]
            start = end
