"""Widget of a live plot: title, braille curves, limit line, ends of both axes."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from controller.ui.chart import Chart, axis_label, without_curve, y_range
from controller.ui.tui.braille import draw

AXIS_CELLS = 6
"""Width of the y axis with its labels."""
INKS = {"limit": "plot--limit", "B": "plot--second", "fused": "plot--third", "": "plot--axis"}
"""Component class of each curve; other curves take the first."""


class Plot(Widget):
    """One chart: the first row is the title, the last the x axis."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "plot--axis",
        "plot--first",
        "plot--second",
        "plot--third",
        "plot--limit",
    }

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._chart = Chart(title="")
        self._rows: list[Strip] = []
        self._drawn: tuple[Chart, Size] | None = None

    def show(self, chart: Chart) -> None:
        """Show a chart; draw again only if it changed."""
        if chart != self._chart:
            self._chart = chart
            self.refresh()

    def notify_style_update(self) -> None:
        """Draw again in a new theme."""
        super().notify_style_update()
        self._drawn = None

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the plot if chart or size changed, then return its rows."""
        wanted = (self._chart, self.size)
        if self._drawn != wanted:
            self._drawn = wanted
            self._rows = [
                row.adjust_cell_length(self.size.width, self.rich_style) for row in self._draw()
            ]
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return one row of the plot."""
        if y < len(self._rows):
            return self._rows[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _draw(self) -> list[Strip]:
        height, width = self.size.height - 2, self.size.width - AXIS_CELLS
        chart = self._chart
        nothing = without_curve(chart)
        if height < 1 or width < 4 or nothing:
            return [self._title_row(), Strip([Segment(f"  {nothing}", self._ink(""))])]
        low, high = y_range(chart)
        canvas = draw(chart, height, width)
        rows = [self._title_row()]
        for i, runs in enumerate(canvas.rows_of_text()):
            label = axis_label(high) if i == 0 else axis_label(low) if i == height - 1 else ""
            edge = "┤" if label else "│"
            axis = Segment(f"{label:>{AXIS_CELLS - 1}}{edge}", self._ink(""))
            rows.append(Strip([axis, *(Segment(text, self._ink(ink)) for text, ink in runs)]))
        left, right = (f"{axis_label(x)}{chart.x_unit}" for x in chart.x_range)
        line = " " * (AXIS_CELLS - 1) + "└" + left.ljust(width - len(right), " ") + right
        rows.append(Strip([Segment(line, self._ink(""))]))
        return rows

    def _title_row(self) -> Strip:
        limit = self._chart.limit
        names = [curve.legend for curve in self._chart.curves if curve.shows_change]
        note = f" ╌ limit {limit:g}" if limit is not None else ""
        drawn = f"  {' '.join(names)}" if len(names) > 1 else ""
        title = f"─ {self._chart.title}{drawn}{note} "
        return Strip([Segment(title.ljust(self.size.width, "─"), self._ink(""))])

    def _ink(self, name: str) -> Style:
        return self.get_component_rich_style(INKS.get(name, "plot--first"), partial=False)
