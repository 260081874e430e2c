"""What the keys do, what the words mean."""

from __future__ import annotations

from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from controller.ui.tui.keys import DialogKeys

LEFT_CELLS = 18
"""Of keys and words; what they mean stands beside them."""

PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "keys": (
        ("space", "pause after the step under way, beam blanked; again: go on"),
        ("x", "stop: after this tilt, at the end of the series, or now"),
        ("r", "record the last tilts again"),
        ("a", "answer the open prompt; PgDn reads on, esc puts it off"),
        (
            "v",
            "next picture: frame, slices of A, B and fused, B - A; at the flip A | B expected, "
            "then B as it was seen, then maps",
        ),
        ("z", "zoom to one pixel a column, the middle of the picture; again: all of it"),
        ("l", "the log of everything; / filters it"),
        ("o", "open the report"),
        ("?  f1", "this page"),
        ("q", "leave the screen: the session goes on; dualtilt attach comes back"),
        ("ctrl+p", "every command by name; themes"),
    ),
    "verdict": (
        ("✓ GOOD", "nothing to do"),
        (
            "? YOUR TURN",
            "nothing is wrong with the data, but the session waits for somebody to act",
        ),
        ("▲ STOP AT END", "what is on disk is of use, what comes next must not start like this"),
        ("■ STOP NOW", "going on like this costs dose or time for nothing"),
        (
            "the line below",
            "why, and what to do; else the newest alert: i news, ! warning, !! alarm",
        ),
    ),
    "while a series is recorded": (
        ("[ A 41/73 ]", "phase under way: tilts recorded, of those planned"),
        ("+10.0° 56%", "tilt, share of the series"),
        (
            "left 2:30",
            "time the column needs to the end of the series; a simulator in virtual time is "
            "there sooner",
        ),
        (
            "3 behind (14 s)",
            "frames on disk that processing has not looked at yet; the time they took",
        ),
        ("beam ON 70 pA", "as last set; blanked between exposures, in pauses and prompts"),
        ("counts 3951 ok", "mean of the newest frame, and what is thought of it:"),
        ("  DIM", "far less signal than the frame before"),
        ("  SATURATED", "too many pixels at the detector's full scale"),
        ("  SHIFTED", "the object is off the middle, or not there"),
        ("  INVALID", "blank, no numbers, or the frame before once more"),
        (
            "dose 7.1 ke/Å²",
            "spent, in thousands of electrons per Å², of what is planned in all; "
            "max: the budget, beyond which nothing is exposed",
        ),
        ("shift 4.5 px", "how far the object lay off its place in that frame"),
        ("residual 0.54 px", "how badly the tilt fits the volume of all tilts; HIGH above 1"),
        (
            "seen by A",
            "particles counted in A alone, final: in all of it. The interval knows nothing of "
            "what A's blurred side hides: quote fused",
        ),
        ("fused", "particles counted in A and B together"),
        ("7116 ± 5", "the 95 % interval; as 7061 (6952-7170) where it is lopsided"),
        ("too early to say", "that interval is still wider than a fifth of the count to each side"),
        ("d 6.3 nm", "mean diameter of the particles"),
        ("!  ·", "advice of the live count: to act on, or to know"),
    ),
    "shower": (
        ("this angle", "time left at it; waits for the session at the end of each slice"),
        ("size -0.4% at +0°", "of the assembly; change between the two looks at that angle"),
        ("drift", "how far it moved between them, and how fast"),
    ),
    "flip": (
        ("flipped", "likeness, up to 1, of B's first images to A's object turned over"),
        ("same side up", "the same, had the grid only been turned in its plane"),
        ("runner-up", "the next best explanation: it must be clearly worse"),
        ("turned, seat, off", "in the plane; tilt of the grid against A; from the middle"),
    ),
}


class HelpScreen(ModalScreen[None]):
    """One page, scrolled where the terminal is small."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "Back", key_display="esc"),
    ]

    def compose(self) -> ComposeResult:
        """Keys, then words."""
        with Vertical(classes="dialog wide") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "↑ ↓ scroll · esc back"
            with VerticalScroll():
                yield Static(Group(*(_page(title, rows) for title, rows in PAGES.items())))
        yield DialogKeys()


def _page(title: str, rows: tuple[tuple[str, str], ...]) -> Group:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=LEFT_CELLS, no_wrap=True)
    table.add_column()
    for word, meaning in rows:
        table.add_row(Text(word, "bold"), meaning)
    return Group(Text(title, "dim italic"), table, Text())
