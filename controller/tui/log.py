"""The event log: every line of it, with a filter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input, RichLog, Static

from controller.events import Record
from controller.service import words
from controller.tui.styles import BAD, WARNING

MARK_STYLES = {"!": WARNING, "!!": BAD, "?": "bold"}


def log_line(record: Record) -> Text:
    """Time, mark, what happened."""
    sign = words.mark(record)
    style = MARK_STYLES.get(sign, "")
    return Text.assemble(
        (words.clock(record.at), "dim"),
        " ",
        (f"{sign:<2}", style),
        " ",
        (words.tell(record), style),
    )


class LogScreen(Screen[None]):
    """Newest lines at the end; typing narrows them down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,l", "app.pop_screen", "Back"),
        Binding("slash,f", "filter", "Filter", key_display="/"),
    ]

    def __init__(self, records: Iterable[Record]) -> None:
        super().__init__()
        self._records = [record for record in records if words.is_news(record)]
        self._wanted = ""

    def compose(self) -> ComposeResult:
        """Title, filter, lines, keys."""
        yield Static(Text(" dualtilt  event log", "bold"), classes="rail")
        yield Input(placeholder="filter: A#, !, flip, particles …", id="filter", compact=True)
        yield RichLog(id="lines", wrap=False, auto_scroll=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin in the lines, at the newest."""
        self.query_one(RichLog).focus()
        self._fill()

    def add(self, records: Iterable[Record]) -> None:
        """New lines, shown where they pass the filter."""
        fresh = [record for record in records if words.is_news(record)]
        self._records += fresh
        for line in self._passing(fresh):
            self.query_one(RichLog).write(line)

    def action_filter(self) -> None:
        """Go to the filter."""
        self.query_one(Input).focus()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._wanted = event.value
        self._fill()

    @on(Input.Submitted)
    def _to_the_lines(self) -> None:
        self.query_one(RichLog).focus()

    def _fill(self) -> None:
        log = self.query_one(RichLog)
        log.clear()
        for line in self._passing(self._records):
            log.write(line)

    def _passing(self, records: Iterable[Record]) -> list[Text]:
        lines = [log_line(record) for record in records]
        return [line for line in lines if self._wanted.lower() in line.plain.lower()]
