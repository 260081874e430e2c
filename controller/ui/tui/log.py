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

from controller.model.events import Record
from controller.service import words
from controller.ui.tui.styles import BAD, WARNING

HANG_CELLS = 12
"""Where what happened begins: behind time and mark."""
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


def folded(line: Text, width: int) -> list[Text]:
    """A line in as many rows as it needs; what does not fit the first hangs below what was said."""
    rows = []
    while line.cell_len > width > 2 * HANG_CELLS:
        space = line.plain.rfind(" ", HANG_CELLS + 1, width + 1)
        cut = space if space > HANG_CELLS else width
        first, rest = line.divide([cut])
        rows.append(first)
        line = Text(" " * HANG_CELLS).append_text(rest[1:] if space > HANG_CELLS else rest)
    return [*rows, line]


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
        # held here, not looked up: a size may still come while the screen is being taken down
        self._filter = Input(
            placeholder="filter: A#, !, flip, particles …", id="filter", compact=True
        )
        self._log = RichLog(id="lines", wrap=False, auto_scroll=True)

    def compose(self) -> ComposeResult:
        """Title, filter, lines, keys."""
        yield Static(Text(" dualtilt  event log", "bold"), classes="rail")
        yield self._filter
        yield self._log
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin in the lines, at the newest."""
        self._log.focus()

    def on_resize(self) -> None:
        """Fold the lines anew."""
        self.call_after_refresh(self._fill)

    def add(self, records: Iterable[Record]) -> None:
        """New lines, shown where they pass the filter."""
        fresh = [record for record in records if words.is_news(record)]
        self._records += fresh
        self._write(self._passing(fresh))

    def action_filter(self) -> None:
        """Go to the filter."""
        self._filter.focus()

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        self._wanted = event.value
        self._fill()

    @on(Input.Submitted)
    def _to_the_lines(self) -> None:
        self._log.focus()

    def _fill(self) -> None:
        self._log.clear()
        self._write(self._passing(self._records))

    def _write(self, lines: Iterable[Text]) -> None:
        width = self._log.scrollable_content_region.width
        for line in lines:
            for row in folded(line, width):
                self._log.write(row)

    def _passing(self, records: Iterable[Record]) -> list[Text]:
        lines = [log_line(record) for record in records]
        return [line for line in lines if self._wanted.lower() in line.plain.lower()]
