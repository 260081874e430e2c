"""Widget that draws real pixels on terminals that can: kitty, or with sixel graphics."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from functools import cache
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from textual.widget import Widget

from controller.ui.tui.sixel import sixel_text

BLOCKS_ONLY = "DUALTILT_PICTURES"
"""Environment variable: `blocks` draws characters even where the terminal could draw pixels."""
SHADES = 32
"""Number of greys of a picture: fewer make it smaller and faster to draw."""
GREY_STEP = 255 // (SHADES - 1)
"""Difference of two neighbouring greys."""
ASK_WHETHER_IT_WORKS, IT_WORKS = "\x1b[5n", "\x1b[0n"
"""Device status report (ECMA-48, DSR) and its answer."""
LATEST_ANSWER_S = 1.0
"""Longest wait for the answers of a terminal."""
LARGEST_SIDE_PX = 192
"""Longest side of a whole picture before it is enlarged to the terminal's pixels: encoding it
takes most of a refresh. A picture that is zoomed to one to one is not reduced."""


@cache
def cell_px() -> tuple[int, int] | None:
    """Return the size (width, height) of a cell in pixels; None if the terminal draws no pixels.

    It asks the terminal, so the first call must come before Textual reads the keyboard.
    """
    terminal = _terminal()
    if os.environ.get(BLOCKS_ONLY) == "blocks" or terminal is None:
        return None
    # imported here: the import itself asks the terminal what it can do
    from textual_image._terminal import get_cell_size
    from textual_image.renderable import Image, SixelImage, TGPImage

    _drop_late_answers(*terminal)
    if Image not in (SixelImage, TGPImage):
        return None
    size = get_cell_size()
    return size.width, size.height


def _drop_late_answers(keyboard: TextIO, screen: TextIO) -> None:
    """Read what the terminal still answers: Textual would take it for keys, `?` for help.

    Answers are late on slow connections, or unread where a key was typed before them. A terminal
    answers in turn, so that all are read once it says that it works.
    """
    if sys.platform == "win32":
        from textual_image._win32 import capture_mode, read
    else:
        from textual_image._posix import capture_mode, read
    end = time.monotonic() + LATEST_ANSWER_S
    seen = ""
    with capture_mode(), suppress(TimeoutError):
        screen.write(ASK_WHETHER_IT_WORKS)
        screen.flush()
        while not seen.endswith(IT_WORKS):
            seen += read(keyboard.fileno(), 1, max(end - time.monotonic(), 0.0))


def _terminal() -> tuple[TextIO, TextIO] | None:
    """Return input and output if both are a terminal: the question needs an answer."""
    keyboard, screen = sys.__stdin__, sys.__stdout__
    if keyboard is None or screen is None or not (keyboard.isatty() and screen.isatty()):
        return None
    return keyboard, screen


def pixel_widget() -> Widget:
    """Return an empty widget that draws pixels; `show_pixels` sets its picture."""
    from textual_image.widget import AutoImage, Image, SixelImage

    return sixel_widget() if Image is SixelImage else AutoImage()


def sixel_widget() -> Widget:
    """Return a widget that draws grey pictures as sixels."""
    from PIL.Image import Image as Picture
    from textual.app import ComposeResult
    from textual_image.widget.sixel import Image as SixelImage
    from textual_image.widget.sixel import _ImageSixelImpl

    class GreySixels(_ImageSixelImpl):
        def _image_to_sixels(self, image: Picture, *_: object, **__: object) -> str:
            return sixel_text(np.asarray(image) // GREY_STEP, SHADES)

    class GreySixelImage(SixelImage, Renderable=SixelImage._Renderable):
        def compose(self) -> ComposeResult:
            yield GreySixels(self.image)

        def show(self, image: Picture) -> None:
            """Show a picture; one of the same size needs no new layout."""
            drawn = next(iter(self.query(GreySixels)), None)
            known = None if drawn is None else drawn.image
            if drawn is None or not isinstance(known, Picture) or known.size != image.size:
                self.image = image
            else:
                drawn.image = image
                drawn.refresh()

    return GreySixelImage()


def show_pixels(widget: Widget, grey: NDArray[np.float32], size_px: tuple[int, int]) -> None:
    """Show grey values from 0 to 1, [row, column] with row 0 at the top, at a size (rows, columns).

    The picture gets its final size and its few greys here: the encoder would do both slowly.
    """
    from PIL import Image as PILImage

    levels = np.minimum(grey * SHADES, SHADES - 1).astype(np.uint8) * GREY_STEP
    rows, cols = (
        np.arange(side_px) * of // side_px for side_px, of in zip(size_px, grey.shape, strict=True)
    )
    image = PILImage.fromarray(levels[rows][:, cols])
    show = getattr(widget, "show", None)
    if show is None:
        widget.image = image  # type: ignore[attr-defined]
    else:
        show(image)
