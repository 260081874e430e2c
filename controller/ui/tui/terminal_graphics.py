"""Widget that draws real pixels on terminals that can: kitty, or with sixel graphics."""

from __future__ import annotations

import os
import sys
from functools import cache

import numpy as np
from numpy.typing import NDArray
from textual.widget import Widget

BLOCKS_ONLY = "DUALTILT_PICTURES"
"""Environment variable: `blocks` draws characters even where the terminal could draw pixels."""
SIXEL_SHADES = 48
"""Number of greys of a sixel picture: fewer make it smaller and faster to draw."""


@cache
def cell_px() -> tuple[int, int] | None:
    """Return the size (width, height) of a cell in pixels; None if the terminal draws no pixels.

    It asks the terminal, so the first call must come before Textual reads the keyboard.
    """
    if os.environ.get(BLOCKS_ONLY) == "blocks" or not _is_terminal():
        return None
    # imported here: the import itself asks the terminal what it can do
    from textual_image._terminal import get_cell_size
    from textual_image.renderable import Image, SixelImage, TGPImage

    if Image not in (SixelImage, TGPImage):
        return None
    size = get_cell_size()
    return size.width, size.height


def _is_terminal() -> bool:
    """Tell whether both input and output are a terminal: the question needs an answer."""
    streams = (sys.__stdin__, sys.__stdout__)
    return all(stream is not None and stream.isatty() for stream in streams)


def pixel_widget() -> Widget:
    """Return an empty widget that draws pixels; `show_pixels` sets its picture."""
    from textual_image.widget import AutoImage, Image, SixelImage, SixelOptions

    if Image is SixelImage:
        return SixelImage(sixel_options=SixelOptions(colors=SIXEL_SHADES))
    return AutoImage()


def show_pixels(widget: Widget, pixels: NDArray[np.uint8]) -> None:
    """Show grey pixels [row, column], row 0 at the top."""
    from PIL import Image as PILImage

    widget.image = PILImage.fromarray(pixels)  # type: ignore[attr-defined]
