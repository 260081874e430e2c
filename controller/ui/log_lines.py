"""Lines of the event log: made from records, wrapped, and selected by words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from controller.model.events import BeamChanged, FrameWithdrawn, ProcessingProgressed, Record
from controller.service import event_text
from controller.ui.colours import BAD, WARNING

TEXT_COLUMN = 12
"""Column of the text, after time and sign."""
MARK_STYLES = {"!": WARNING, "!!": BAD, "?": "bold"}

SHOWN_IF_ASKED = (BeamChanged, ProcessingProgressed, FrameWithdrawn)
"""Events that would fill the log, or stand below an alert that says the same."""


def log_line(record: Record) -> Text:
    """Return a line of the log: time, sign, text."""
    mark = event_text.mark(record)
    style = MARK_STYLES.get(mark, "")
    return Text.assemble(
        (event_text.time_of_day(record.at), "dim"),
        " ",
        (f"{mark:<2}", style),
        " ",
        (event_text.event_line(record), style),
    )


def wrapped(line: Text, width: int) -> list[Text]:
    """Wrap a line to `width`; further rows are indented to the column of the text."""
    rows = []
    while line.cell_len > width > 2 * TEXT_COLUMN:
        space = line.plain.rfind(" ", TEXT_COLUMN + 1, width + 1)
        cut = space if space > TEXT_COLUMN else width
        first, rest = line.divide([cut])
        rows.append(first)
        line = Text(" " * TEXT_COLUMN).append_text(rest[1:] if space > TEXT_COLUMN else rest)
    return [*rows, line]


def passes(record: Record, line: Text, words: Sequence[str]) -> bool:
    """Return True if the filter shows this line.

    The line must contain every word, and none of the words after a minus sign. Beam on and off
    (two lines for each frame), progress of processing and withdrawn frames are shown only if a word
    asks for them.
    """
    text = line.plain.lower()
    wanted = [word for word in words if not word.startswith("-")]
    unwanted = [word[1:] for word in words if len(word) > 1 and word.startswith("-")]
    if isinstance(record.event, SHOWN_IF_ASKED) and record.advice is None and not wanted:
        return False
    return all(word in text for word in wanted) and not any(word in text for word in unwanted)
