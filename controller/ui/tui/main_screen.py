"""The operator's screen: rail, image, numbers, plots, state and alert; from 80 x 24 up to wide."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static

from controller.model.events import Phase, Record
from controller.service import words
from controller.service.foresight import foreseen
from controller.service.status import SessionStatus
from controller.ui.tui import views
from controller.ui.tui.bottom import alert_line, lost_line, state_line
from controller.ui.tui.charts import charts_of
from controller.ui.tui.image import ImageView, beside_its_mirror, beside_the_expected
from controller.ui.tui.layout import LINES_AROUND_BODY, image_cells, tail_cells
from controller.ui.tui.log import folded, log_line
from controller.ui.tui.messages import Uncovered, View
from controller.ui.tui.panels import panel_of
from controller.ui.tui.plot import Plot
from controller.ui.tui.rail import rail_of

PLOT_LINES = 5
"""Below that a plot says nothing."""
TICK_S = 1.0
"""Between two looks at the clock."""
LINES_KEPT = 200
TAIL_EDGE_CELLS = 4
"""Border and padding of the newest log lines."""


class MainScreen(Screen[None]):
    """Shows one status; owns nothing of the session."""

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        self._status = SessionStatus()
        self._views: dict[str, View] = {}
        self._chosen: str | None = None
        self._lines: deque[Text] = deque(maxlen=LINES_KEPT)
        self._texts: dict[Static, Text] = {}
        # held here, not looked up: messages still come while the screen is being taken down
        self._rail = Static(id="rail", classes="rail")
        self._image = ImageView(id="image")
        self._numbers = Static(id="numbers")
        self._plots = Plot(id="plot-0"), Plot(id="plot-1")
        self._tail = Static(id="tail")
        self._state = Static(id="state")
        self._alert = Static(id="alert")

    def compose(self) -> ComposeResult:
        """Lay it out."""
        self._tail.border_title = "log"
        yield self._rail
        with Horizontal(id="body"):
            yield self._image
            with Vertical(id="side"):
                yield self._numbers
                yield from self._plots
            yield self._tail
        yield self._state
        yield self._alert
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin to keep the time."""
        self.set_interval(TICK_S, self._tick)

    def on_resize(self, event: Resize) -> None:
        """Share the width anew."""
        self._share_width()
        self._tail.display = tail_cells(event.size) > 0
        self._tail.styles.width = tail_cells(event.size)
        self.call_after_refresh(self._show_tail)
        self.show(self._status)

    def on_screen_resume(self) -> None:
        """Tell that nothing lies over it any more."""
        self.post_message(Uncovered())

    def show(self, status: SessionStatus) -> None:
        """Show a status."""
        if status.phase is not self._status.phase or _asks_for_the_flip(status, self._status):
            self._chosen = None  # each phase begins with a view of its own
        self._status = status
        width = self.size.width
        if not width:
            return  # before the first layout
        self._text(self._rail, rail_of(status, width, read_only=self._read_only))
        self._text(self._state, state_line(status, width, read_only=self._read_only))
        self._text(self._alert, alert_line(status, width))
        self._show_side(status)
        self._show_view()

    def show_lost(self, why: str) -> None:
        """Say that the session does not answer, and what to do; the rest stays as it was."""
        what, _, to_do = why.partition("; ")
        self._text(self._state, lost_line(what, self.size.width))
        self._text(self._alert, Text(f"   {to_do}", no_wrap=True, overflow="ellipsis"))

    def add_view(self, view: View) -> None:
        """Take in a newer picture."""
        if view.name == views.CHECK and self._status.phase is Phase.FLIP:
            self._take_check(view)
            return
        self._views[view.name] = view
        if view.name == "frame" and self._status.phase in (None, Phase.A, Phase.FLIP):
            self._views[views.FLIP] = beside_its_mirror(view)
        self._show_view()

    def _take_check(self, view: View) -> None:
        """What was seen of B comes to the front, until the grid is to be flipped again."""
        of_a = self._views.get("frame")
        self._views[view.name] = view if of_a is None else beside_the_expected(view, of_a)
        if not _asks_for_the_flip(self._status):
            self._chosen = view.name
        self._show_view()

    def add_records(self, records: Iterable[Record]) -> None:
        """Take in newer log lines."""
        self._lines.extend(
            log_line(record)
            for record in records
            if words.is_news(record) and not isinstance(record.event, words.FREQUENT)
        )
        self._show_tail()

    def next_view(self) -> None:
        """Go round the pictures there are."""
        self._chosen = views.after(self._shown(), self._views)
        self._show_view()

    def toggle_zoom(self) -> None:
        """Between the whole image and its middle at one to one."""
        self._image.zoomed = not self._image.zoomed

    def _shown(self) -> str | None:
        return self._chosen or views.shown_by_itself(self._status.phase, self._views)

    def _share_width(self) -> None:
        """Give the image what its aspect can use, and little while there is none."""
        self._image.styles.width = image_cells(self.size, empty=self._shown() is None)

    def _show_view(self) -> None:
        self._share_width()
        name = self._shown()
        self._image.show(self._views[name] if name is not None else None)

    def _tick(self) -> None:
        """Let clocks go down between two words from the session."""
        if self._status.shower_slice is not None and self.size.width:
            self._show_side(self._status)

    def _show_side(self, status: SessionStatus) -> None:
        lines = panel_of(foreseen(status, datetime.now(UTC)))
        self._text(self._numbers, Text("\n").join(lines))
        room = self.size.height - LINES_AROUND_BODY - len(lines)
        charts = charts_of(status)[: room // PLOT_LINES]
        for i, plot in enumerate(self._plots):
            plot.display = i < len(charts)
            if plot.display:
                plot.show(charts[i])

    def _show_tail(self) -> None:
        """As many of the newest lines as there is room for."""
        if self._tail.display:
            room = max(1, self.size.height - LINES_AROUND_BODY - 2)
            width = tail_cells(self.size) - TAIL_EDGE_CELLS
            newest = (folded(line, width) for line in list(self._lines)[-room:])
            self._text(
                self._tail, Text("\n").join([row for rows in newest for row in rows][-room:])
            )

    def _text(self, widget: Static, text: Text) -> None:
        """Update a line or lines; lay out anew only where their number changes."""
        known = self._texts.get(widget)
        if known == text and known.spans == text.spans:
            return
        self._texts[widget] = text
        height_changes = known is None or known.plain.count("\n") != text.plain.count("\n")
        widget.update(text, layout=height_changes)


def _asks_for_the_flip(status: SessionStatus, before: SessionStatus | None = None) -> bool:
    """Whether the prompt to flip the grid is open, and was not before."""
    asked = status.prompt is not None and status.prompt.id == "flip"
    return asked and (before is None or status.prompt_seq != before.prompt_seq)
