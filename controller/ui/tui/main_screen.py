"""Main screen: phases, image, numbers, plots, state and alert; 80 x 24 cells or more."""

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
from controller.model.prompts import PromptId
from controller.service import event_text
from controller.service.queue_status import QueueView
from controller.service.session_status import SessionStatus
from controller.service.shower_clocks import advance_shower_clocks
from controller.ui import view_order
from controller.ui.log_lines import log_line, wrapped
from controller.ui.status_charts import charts_of
from controller.ui.tui.image_view import ImageView, flip_comparison, flip_prediction, spectrum_view
from controller.ui.tui.layout import LINES_AROUND_BODY, image_cells, log_cells
from controller.ui.tui.phase_line import phase_line
from controller.ui.tui.phase_panels import panel_lines
from controller.ui.tui.plot_widget import Plot
from controller.ui.tui.queue_lines import queue_place, target_lines
from controller.ui.tui.screen_messages import MainScreenUncovered, View
from controller.ui.tui.state_lines import alert_line, lost_line, state_line

PLOT_LINES = 5
"""Smallest height of a plot."""
LINES_OF_PLOTS = 2 * 7
"""Height that the plots keep beside a list of targets."""
LEAST_TARGET_LINES = 4
"""Smallest height of a list of targets, with its heading."""
TICK_S = 1.0
"""Time between two updates of the clocks (s)."""
LINES_KEPT = 200
"""Newest log lines kept for a wide terminal."""
LOG_EDGE_CELLS = 4
"""Width of border and padding of the log."""


class MainScreen(Screen[None]):
    """Shows one status of the session."""

    def __init__(self, *, read_only: bool) -> None:
        super().__init__()
        self._read_only = read_only
        self._status = SessionStatus()
        self._queue: QueueView | None = None
        self._views: dict[str, View] = {}
        self._chosen: str | None = None
        self._lines: deque[Text] = deque(maxlen=LINES_KEPT)
        self._texts: dict[Static, Text] = {}
        # kept here, not queried: messages may still come while the screen closes
        self._phases = Static(id="phases", classes="title-line")
        self._image = ImageView(id="image")
        self._numbers = Static(id="numbers")
        self._plots = Plot(id="plot-0"), Plot(id="plot-1")
        self._log_lines = Static(id="newest-lines")
        self._state = Static(id="state")
        self._alert = Static(id="alert")

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        self._log_lines.border_title = "log"
        yield self._phases
        with Horizontal(id="body"):
            yield self._image
            with Vertical(id="side"):
                yield self._numbers
                yield from self._plots
            yield self._log_lines
        yield self._state
        yield self._alert
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Start the clock updates."""
        self.set_interval(TICK_S, self._tick)

    def on_resize(self, event: Resize) -> None:
        """Divide the width again."""
        self._divide_width()
        self._log_lines.display = log_cells(event.size) > 0
        self._log_lines.styles.width = log_cells(event.size)
        self.call_after_refresh(self._show_log_lines)
        self.show(self._status)

    def on_screen_resume(self) -> None:
        """Report that nothing covers this screen any more."""
        self.post_message(MainScreenUncovered())

    def show(self, status: SessionStatus) -> None:
        """Show a status."""
        if status.phase is not self._status.phase or _flip_prompt_opened(status, self._status):
            self._chosen = None  # each phase starts with its own view
        self._status = status
        width = self.size.width
        if not width:
            return  # before the first layout
        name = queue_place(self._queue) if self._queue is not None else status.name
        self._text(self._phases, phase_line(status, width, name, read_only=self._read_only))
        self._text(self._state, state_line(status, width, read_only=self._read_only))
        self._text(self._alert, alert_line(status, width))
        self._show_side(status)
        self._show_view()

    def show_queue(self, queue: QueueView) -> None:
        """Show the queue to which the session belongs."""
        self._queue = queue
        self.show(self._status)

    def show_lost(self, fault: str, remedy: str) -> None:
        """Show that the session does not answer, and what to do; the rest of the screen stays.

        Only the beam does not: nobody knows whether it is on.
        """
        self._status = self._status.unanswered()
        self._show_side(self._status)
        self._text(self._state, lost_line(fault, self.size.width))
        self._text(self._alert, Text(f"   {remedy}", no_wrap=True, overflow="ellipsis"))

    def add_view(self, view: View) -> None:
        """Add or replace a picture."""
        if view.name == view_order.FLIP_CHECK and self._status.phase is Phase.FLIP:
            self._add_flip_check(view)
            return
        self._views[view.name] = view
        if view.name == "frame":
            self._views.pop(view_order.SPECTRUM, None)  # that of an older frame
        if view.name == "frame" and self._status.phase in (None, Phase.A, Phase.FLIP):
            self._views[view_order.FLIP_PREDICTION] = flip_prediction(view)
        self._show_view()

    def _add_flip_check(self, view: View) -> None:
        """Show the image of B from the flip check, unless the grid is to be flipped again."""
        image_a = self._views.get("frame")
        self._views[view.name] = view if image_a is None else flip_comparison(view, image_a)
        if not _flip_prompt_is_open(self._status):
            self._chosen = view.name
        self._show_view()

    def add_records(self, records: Iterable[Record]) -> None:
        """Add new records to the log lines."""
        self._lines.extend(log_line(record) for record in records if event_text.is_headline(record))
        self._show_log_lines()

    def next_view(self) -> None:
        """Show the next picture in the cycle."""
        self._chosen = view_order.next_view(self._view_name(), self._known_views())
        self._show_view()

    def next_contrast(self) -> None:
        """Show the picture with the next contrast limits."""
        self._image.next_contrast()

    def _known_views(self) -> list[str]:
        """Return the pictures to choose from; the spectrum is made when it is first shown."""
        made = [view_order.SPECTRUM] if "frame" in self._views else []
        return [*dict.fromkeys([*self._views, *made])]

    def toggle_zoom(self) -> None:
        """Change between the whole image and its middle at one to one."""
        self._image.zoomed = not self._image.zoomed

    def _view_name(self) -> str | None:
        return self._chosen or view_order.first_view(self._status.phase, self._views)

    def _divide_width(self) -> None:
        """Set the width of the image; it is small while there is no picture."""
        self._image.styles.width = image_cells(self.size, empty=self._view_name() is None)

    def _show_view(self) -> None:
        self._divide_width()
        name = self._view_name()
        if name == view_order.SPECTRUM and name not in self._views:
            self._views[name] = spectrum_view(self._views["frame"])
        self._image.show(self._views[name] if name is not None else None)

    def _tick(self) -> None:
        """Update the clocks between two events of the session."""
        if self._status.shower_slice is not None and self.size.width:
            self._show_side(self._status)

    def _show_side(self, status: SessionStatus) -> None:
        lines = panel_lines(advance_shower_clocks(status, datetime.now(UTC)))
        room = self.size.height - LINES_AROUND_BODY - len(lines)
        if self._queue is not None and (rest := room - LINES_OF_PLOTS - 1) >= LEAST_TARGET_LINES:
            targets = target_lines(self._queue, status, rest)
            lines += [Text(), *targets]
            room -= 1 + len(targets)
        self._text(self._numbers, Text("\n").join(lines))
        charts = charts_of(status)[: room // PLOT_LINES]
        for i, plot in enumerate(self._plots):
            plot.display = i < len(charts)
            if plot.display:
                plot.show(charts[i])

    def _show_log_lines(self) -> None:
        """Show the newest log lines that fit."""
        if self._log_lines.display:
            room = max(1, self.size.height - LINES_AROUND_BODY - 2)
            width = log_cells(self.size) - LOG_EDGE_CELLS
            newest = (wrapped(line, width) for line in list(self._lines)[-room:])
            self._text(
                self._log_lines, Text("\n").join([row for rows in newest for row in rows][-room:])
            )

    def _text(self, widget: Static, text: Text) -> None:
        """Update a widget; lay out again only if the number of lines changed."""
        known = self._texts.get(widget)
        if known == text and known.spans == text.spans:
            return
        self._texts[widget] = text
        height_changes = known is None or known.plain.count("\n") != text.plain.count("\n")
        widget.update(text, layout=height_changes)


def _flip_prompt_is_open(status: SessionStatus) -> bool:
    return status.prompt is not None and status.prompt.id is PromptId.FLIP


def _flip_prompt_opened(status: SessionStatus, before: SessionStatus) -> bool:
    """Return True if the prompt to flip the grid has opened since the status before."""
    return _flip_prompt_is_open(status) and status.prompt_seq != before.prompt_seq
