"""Help screen: the keys, and the words on the screen."""

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

from controller.ui.tui.dialog_keys import DialogKeys

LEFT_CELLS = 18
"""Width of the keys and words; their meaning is beside them."""

PAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "keys": (
        ("space", "pause after the current step, beam blanked; again: go on"),
        ("x", "stop: after this tilt, at the end of the series, or now"),
        ("r", "record the last tilts again"),
        ("t", "targets of the grid: states, counts, verdicts; s there stops after this target"),
        ("a", "answer the open prompt; PgDn scrolls it, esc postpones it"),
        (
            "v",
            "next picture: frame, slices of A, B and fused, B - A, power spectrum of the frame; "
            "at the flip A | B expected, then the image of B beside it, then the maps",
        ),
        ("z", "zoom to one pixel per column, middle of the picture; again: all of it"),
        ("c", "contrast: automatic, full range, strong"),
        (
            "l",
            "the event log; / filters it: words to find, -word to leave out; beam on/off and "
            "progress of processing are shown if a word asks for them",
        ),
        ("o", "open the report"),
        ("?  f1", "this page"),
        ("q", "close the screen: the session continues; dualtilt attach opens it again"),
        ("ctrl+p", "every command by name; themes"),
    ),
    "advice to the operator": (
        ("✓ GOOD", "nothing to do"),
        (
            "? YOUR TURN",
            "the data are good; the session waits for you, at a prompt or in a pause; the reason "
            "says if it goes on by itself when you have done something at the column",
        ),
        (
            "… WAIT",
            "the data are good; the session waits for the microscope or the disk, and goes on by "
            "itself",
        ),
        ("▲ STOP AT END", "the data on disk are useful; the next series must not start like this"),
        ("■ STOP NOW", "dose or time is being lost: read the line below, then press x or space"),
        (
            "the line below",
            "the reason, and what to do; else the newest alert (! or, an alarm, !!) or news (i)",
        ),
    ),
    "under the picture": (
        ("▁▃█▂", "histogram of its grey values, dark to bright"),
        ("├────┤50 nm", "scale bar"),
        ("SIRT", "simultaneous iterative reconstruction technique: the volume that is sliced"),
        ("SSR", "sparse sphere reconstruction: the volume that shows the particles' centres"),
    ),
    "while a series is recorded": (
        ("[ A 41/73 ]", "current phase: tilts recorded, tilts planned"),
        ("+10.0° 56%", "tilt angle; part of the series that is recorded"),
        (
            "left 2:30",
            "microscope time to the end of the series; a simulator in virtual time needs less",
        ),
        (
            "3 behind (14 s)",
            "frames on disk that are not processed yet; the time they took to record",
        ),
        ("beam ON 70 pA", "beam as last set; blanked between exposures, in pauses and at prompts"),
        ("counts 3951 ok", "mean counts of the newest frame, and its verdict:"),
        ("  DIM", "far less signal than the frame before"),
        ("  SATURATED", "too many pixels at the detector's full scale"),
        ("  SHIFTED", "the object is off the centre, or not in the frame"),
        ("  INVALID", "blank, not numbers, or the previous frame again"),
        (
            "dose 7.1 ke/Å²",
            "dose spent and dose planned in all, in thousands of electrons per Å²; "
            "over plan: retakes and repeated tracking shots; max: the budget, beyond which nothing "
            "is exposed",
        ),
        ("shift 2.0 nm", "how far the object is from where the stage should have put it"),
        (
            "live residual 0.54",
            "px along the tilt axis between the frame and the other images so far; HIGH above 1; "
            "few: too few images to judge",
        ),
        ("final residual", "that of the alignment of all tilts, rms; it replaces the live ones"),
        (
            "A alone",
            "particles counted without B; final: in the complete series. The interval does not "
            "include what A's blurred side hides: quote fused",
        ),
        ("fused", "particles counted in A and B together"),
        ("7116 ± 5", "the 95 % interval; written 7061 (6952-7170) if it is asymmetric"),
        ("too early to say", "the interval is still wider than a fifth of the count to each side"),
        ("doubtful", "a part of the images does not fit the particles; the log has the reason"),
        ("refused", "the particles found do not explain the images: do not use this count"),
        ("d 6.3 nm", "mean diameter of the particles"),
        ("!  ·", "advice of the live processing: ! act on it, · for information"),
        ("docs/GLOSSARY.md", "all other words"),
    ),
    "shower": (
        ("shower", "beam shower: long, wide illumination before A that ends contamination"),
        ("this angle", "time left at this tilt; it waits for the session every 20 s"),
        (
            "size -0.4% at +0°",
            "of the assembly: diameter of a disc with the area of its image; change between two "
            "images at that angle",
        ),
        ("drift", "movement of the object between these images, and its speed"),
    ),
    "flip": (
        ("flipped", "correlation, up to 1, of B's first images with the flipped object of A"),
        ("same side up", "the same with the object only rotated in its plane"),
        ("next best", "the same for the next best pose: it must be clearly lower"),
        (
            "residual tilt",
            "tilt of the grid in its seat, against A; offset: distance from the image centre",
        ),
    ),
}


class HelpScreen(ModalScreen[None]):
    """One page of help, with scrolling."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "dismiss", "Back", key_display="esc"),
    ]

    def compose(self) -> ComposeResult:
        """Lay out keys, then words."""
        with Vertical(classes="dialog wide") as dialog:
            dialog.border_title = "Help"
            dialog.border_subtitle = "↑ ↓ scroll · Esc: back"
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
