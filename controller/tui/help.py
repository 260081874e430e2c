"""What the keys do, what the words mean."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = (
    ("space", "pause after the step under way; go on again"),
    ("x", "stop: after this tilt, at the end of the series, now"),
    ("r", "record the last tilts again"),
    ("a", "answer the open prompt"),
    ("v  z", "next view: frame, slices, fused, B - A; zoom 1:1"),
    ("l", "event log, / filters"),
    ("o", "open the report"),
    ("q", "detach: the session goes on; dualtilt attach comes back"),
    ("ctrl+p", "every command by name, themes"),
)
WORDS = (
    ("✓ GOOD", "nothing to do"),
    ("▲ STOP AT END", "this series is of use, the next would not be"),
    ("■ STOP NOW", "going on costs dose for nothing"),
    ("behind", "frames on disk that processing has not seen"),
    ("residual", "misfit of a tilt to its re-projection, px"),
)


class HelpScreen(ModalScreen[None]):
    """One page."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "Back", show=False),
    ]

    def compose(self) -> ComposeResult:
        """Keys, then words."""
        with Vertical(classes="dialog wide") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "esc back"
            with VerticalScroll():
                yield Static(_table(KEYS, 8))
                yield Static()
                yield Static(_table(WORDS, 14))


def _table(rows: tuple[tuple[str, str], ...], width: int) -> Text:
    lines = [Text.assemble((f"{left:<{width}}", "bold"), right) for left, right in rows]
    return Text("\n").join(lines)
