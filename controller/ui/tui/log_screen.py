"""The event log with a filter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, RichLog, Static

from controller.model.events import Record
from controller.service import event_text
from controller.ui.log_lines import log_line, passes, wrapped


class LogScreen(Screen[None]):
    """Log lines, newest last, with a filter for typed words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,l", "app.pop_screen", "Back"),
        Binding("slash,f", "filter", "Filter", key_display="/"),
    ]

    def __init__(self, records: Iterable[Record]) -> None:
        super().__init__()
        self._records = [record for record in records if event_text.is_worth_logging(record)]
        self._words: list[str] = []
        # kept here, not queried: a resize event may still come while the screen closes
        self._filter = Input(
            placeholder="filter: A# flip, -tilt leaves out; beam, % show beam, progress",
            id="filter",
            compact=True,
        )
        self._log = RichLog(id="lines", wrap=False, auto_scroll=True)

    def compose(self) -> ComposeResult:
        """Lay out title, filter, lines and keys."""
        yield Static(Text(" dualtilt  event log", "bold"), classes="title-line")
        yield self._filter
        yield self._log
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Give the focus to the lines."""
        self._log.focus()

    def on_resize(self) -> None:
        """Wrap the lines again."""
        self.call_after_refresh(self._fill)

    def add(self, records: Iterable[Record]) -> None:
        """Add new records; show those that pass the filter."""
        new = [record for record in records if event_text.is_worth_logging(record)]
        self._records += new
        self._write(self._filtered_lines(new))

    def action_filter(self) -> None:
        """Give the focus to the filter."""
        self._filter.focus()

    @on(Input.Changed)
    def _filter_changed(self, event: Input.Changed) -> None:
        self._words = event.value.lower().split()
        self._fill()

    @on(Input.Submitted)
    def _filter_submitted(self) -> None:
        self._log.focus()

    def _fill(self) -> None:
        self._log.clear()
        self._write(self._filtered_lines(self._records))

    def _write(self, lines: Iterable[Text]) -> None:
        width = self._log.scrollable_content_region.width
        for line in lines:
            for row in wrapped(line, width):
                self._log.write(row)

    def _filtered_lines(self, records: Iterable[Record]) -> list[Text]:
        return [line for record in records if passes(record, line := log_line(record), self._words)]
