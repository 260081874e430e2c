"""Pictures in terminals that draw pixels: kitty, or with sixel graphics."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDEST_CELLS = 100
"""Largest width of a picture, in cells of the terminal."""


def draws_pixels() -> bool:
    """Tell whether the terminal draws pixels; it is asked once."""
    from controller.ui.tui.terminal_graphics import cell_px

    return cell_px() is not None


def print_figures(figures: Iterable[tuple[str, Figure]]) -> None:
    """Print figures with their names on a terminal that draws pixels."""
    from controller.report.figures import as_file

    for name, figure in figures:
        print(name)
        print_picture(as_file(figure, "png"))


def print_picture(content: bytes) -> None:
    """Print a PNG picture on a terminal that draws pixels."""
    from rich.console import Console
    from textual_image.renderable import Image

    console = Console()
    console.print(Image(io.BytesIO(content), min(WIDEST_CELLS, console.width), "auto"))
