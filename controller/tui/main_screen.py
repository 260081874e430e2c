"""The operator's screen: rail, image, numbers, plots, state and alert; from 80 x 24 up to wide."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Footer, Static

from controller.events import (
    BeamChanged,
    Phase,
    PreviewReady,
    ProcessingProgressed,
    Record,
    TiltJudged,
)
from controller.service.status import SessionStatus
from controller.tui import views
from controller.tui.bottom import alert_line, state_line
from controller.tui.charts import charts_of
from controller.tui.image import ImageView, beside_its_mirror
from controller.tui.layout import LINES_AROUND_BODY, image_cells, tail_cells
from controller.tui.log import log_line
from controller.tui.messages import View
from controller.tui.panels import panel_of
from controller.tui.plot import Plot
from controller.tui.rail import rail_of

PLOT_LINES = 5
"""Below that a plot says nothing."""
LINES_KEPT = 200
FREQUENT = (TiltJudged, ProcessingProgressed, BeamChanged, PreviewReady)
"""Left to the log screen: they would drown the rest."""


class MainScreen(Screen[None]):
    """Shows one status; owns nothing of the session."""

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        self._status = SessionStatus()
        self._unreachable = ""
        self._views: dict[str, View] = {}
        self._chosen: str | None = None
        self._tail: deque[Text] = deque(maxlen=LINES_KEPT)
        self._texts: dict[str, Text] = {}

    def compose(self) -> ComposeResult:
        """Lay it out."""
        yield Static(id="rail", classes="rail")
        with Horizontal(id="body"):
            yield ImageView(id="image")
            with Vertical(id="side"):
                yield Static(id="numbers")
                yield Plot(id="plot-0")
                yield Plot(id="plot-1")
            tail = Static(id="tail")
            tail.border_title = "log"
            yield tail
        yield Static(id="state")
        yield Static(id="alert")
        yield Footer(compact=True, show_command_palette=False)

    def on_resize(self, event: Resize) -> None:
        """Share the width anew."""
        self._share_width()
        tail = self.query_one("#tail")
        tail.display = tail_cells(event.size) > 0
        tail.styles.width = tail_cells(event.size)
        self.call_after_refresh(self._show_tail)
        self.show(self._status)

    def show(self, status: SessionStatus, unreachable: str = "") -> None:
        """Show a status."""
        if status.phase is not self._status.phase:
            self._chosen = None  # each phase begins with a view of its own
        self._status = status
        self._unreachable = unreachable
        width = self.size.width
        if not self._is_laid_out():
            return
        self._text("#rail", rail_of(status, width, read_only=self._read_only))
        self._text("#state", state_line(status, width, unreachable))
        self._text("#alert", alert_line(status))
        self._show_side(status)
        self._show_view()

    def add_view(self, view: View) -> None:
        """Take in a newer picture."""
        self._views[view.name] = view
        if view.name == "frame" and self._status.phase in (None, Phase.A, Phase.FLIP):
            self._views[views.FLIP] = beside_its_mirror(view)
        if self._is_laid_out():
            self._show_view()

    def add_records(self, records: Iterable[Record]) -> None:
        """Take in newer log lines."""
        self._tail.extend(
            log_line(record) for record in records if not isinstance(record.event, FREQUENT)
        )
        if self._is_laid_out():
            self._show_tail()

    def next_view(self) -> None:
        """Go round the pictures there are."""
        self._chosen = views.after(self._shown(), self._views)
        self._show_view()

    def toggle_zoom(self) -> None:
        """Between the whole image and its middle at one to one."""
        image = self.query_one(ImageView)
        image.zoomed = not image.zoomed

    def _is_laid_out(self) -> bool:
        """False before the first layout and while the screen closes: messages come all the same."""
        return bool(self.size.width) and bool(self.query(Footer))

    def _shown(self) -> str | None:
        return self._chosen or views.shown_by_itself(self._status.phase, self._views)

    def _share_width(self) -> None:
        """Give the image what its aspect can use, and little while there is none."""
        width = image_cells(self.size, empty=self._shown() is None)
        self.query_one(ImageView).styles.width = width

    def _show_view(self) -> None:
        self._share_width()
        name = self._shown()
        self.query_one(ImageView).show(self._views[name] if name is not None else None)

    def _show_side(self, status: SessionStatus) -> None:
        lines = panel_of(status)
        self._text("#numbers", Text("\n").join(lines))
        room = self.size.height - LINES_AROUND_BODY - len(lines)
        charts = charts_of(status)[: room // PLOT_LINES]
        for i, plot in enumerate(self.query(Plot)):
            plot.display = i < len(charts)
            if plot.display:
                plot.show(charts[i])

    def _show_tail(self) -> None:
        """As many of the newest lines as there is room for."""
        if self.query_one("#tail").display:
            room = max(1, self.size.height - LINES_AROUND_BODY - 2)
            self._text("#tail", Text("\n").join(list(self._tail)[-room:]))

    def _text(self, selector: str, text: Text) -> None:
        """Update a line or lines; lay out anew only where their number changes."""
        known = self._texts.get(selector)
        if known == text and known.spans == text.spans:
            return
        self._texts[selector] = text
        height_changes = known is None or known.plain.count("\n") != text.plain.count("\n")
        self.query_one(selector, Static).update(text, layout=height_changes)
