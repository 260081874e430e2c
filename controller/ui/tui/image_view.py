"""Widget of the live image: one view, fitted to its box or one to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.segment import Segment
from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from controller.service.previews import Picture, reduce_picture
from controller.ui.picture_tools import (
    CONTRASTS,
    Contrast,
    histogram_bars,
    middle,
    power_spectrum,
    scale_bar_nm,
    stretch,
)
from controller.ui.tui.raster import Box, crop_one_to_one, fit, raster
from controller.ui.tui.screen_messages import View
from controller.ui.tui.terminal_graphics import LARGEST_SIDE_PX, cell_px, pixel_widget, show_pixels
from controller.ui.view_order import FLIP_PREDICTION, SPECTRUM


class ImageView(Container):
    """Image with a border; its caption is the title, histogram and scale bar are below it."""

    zoomed: reactive[bool] = reactive(False, layout=False)
    contrast: reactive[Contrast] = reactive(CONTRASTS[0], layout=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._cell_px = cell_px()
        self._pixels = pixel_widget() if self._cell_px else None
        self._blocks = Blocks()

    def compose(self) -> ComposeResult:
        """Lay out the picture: pixels where the terminal draws them, else blocks."""
        yield self._blocks if self._pixels is None else self._pixels

    def show(self, view: View | None) -> None:
        """Show a view; None shows an empty box."""
        if view is not self._view:
            self._view = view
            self._redraw()

    def next_contrast(self) -> None:
        """Choose the next pair of contrast limits."""
        self.contrast = CONTRASTS[(CONTRASTS.index(self.contrast) + 1) % len(CONTRASTS)]

    def watch_zoomed(self) -> None:
        """Draw the image at the other scale."""
        self._redraw()

    def watch_contrast(self) -> None:
        """Draw the image with other limits."""
        self._redraw()

    def on_resize(self, event: Resize) -> None:
        """Fit the image to the new size."""
        del event
        self._redraw()

    def _redraw(self) -> None:
        room = Box(self.content_size.height, self.content_size.width)
        if self._pixels is None:
            self._blocks.show(self._view, self.zoomed, self.contrast)
        elif self._view is not None and room.rows and room.cols:
            self._show_pixels(self._view, room)
        self._show_titles(room)

    def _show_pixels(self, view: View, room: Box) -> None:
        assert self._pixels is not None
        assert self._cell_px is not None
        width, height = room.cols * self._cell_px[0], room.rows * self._cell_px[1]
        if self.zoomed:
            picture = middle(view.pixels, height, width)
            scale = 1.0
        else:
            picture = reduce_picture(view.reduced, LARGEST_SIDE_PX)
            scale = min(height / picture.shape[0], width / picture.shape[1])
        cols = round(picture.shape[1] * scale / self._cell_px[0])
        rows = round(picture.shape[0] * scale / self._cell_px[1])
        self._pixels.styles.width, self._pixels.styles.height = cols, rows
        size_px = (rows * self._cell_px[1], cols * self._cell_px[0])
        show_pixels(self._pixels, stretch(picture, self.contrast)[::-1], size_px)

    def _show_titles(self, room: Box) -> None:
        view = self._view
        self.border_title = "no image yet" if view is None else view.caption or view.name
        if view is None:
            self.border_subtitle = ""
            return
        contrast = self.contrast.name if self.contrast is not CONTRASTS[0] else ""
        parts = ["1:1" if self.zoomed else "", contrast, self._scale_bar(view, room)]
        histogram = histogram_bars(view.reduced)
        taken = sum(len(part) + 2 for part in parts if part) + len(histogram)
        if taken <= room.cols - 2:  # Textual keeps a cell free at both ends
            parts.insert(2, histogram)
        self.border_subtitle = "  ".join(part for part in parts if part)

    def _scale_bar(self, view: View, room: Box) -> str:
        """Return a bar as long in cells as the length that it names; empty if it is unknown."""
        if view.pixel_nm is None or not room.rows or not room.cols:
            return ""
        columns_px = view.pixels.shape[1]
        if self.zoomed:
            px_per_cell = float(self._cell_px[0]) if self._cell_px else 1.0
        else:
            px_per_cell = columns_px / fit((view.pixels.shape[0], columns_px), room).cols
        nm_per_cell = view.pixel_nm * px_per_cell
        length_nm = scale_bar_nm(nm_per_cell * min(room.cols, columns_px / px_per_cell))
        return f"├{'─' * max(0, round(length_nm / nm_per_cell) - 2)}┤{length_nm:g} nm"


class Blocks(Widget):
    """Picture drawn with block characters."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[View | None, bool, Contrast] = (None, False, CONTRASTS[0])
        self._rows: list[Strip] = []
        self._drawn: tuple[tuple[View | None, bool, Contrast], Box] | None = None

    def show(self, view: View | None, zoomed: bool, contrast: Contrast) -> None:
        """Show a view, whole or its middle at one to one."""
        self._shown = view, zoomed, contrast
        self.refresh()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Leave out the filter for ANSI colours: the greys are true colours already."""
        filters = super().get_line_filters()
        return [known for known in filters if not isinstance(known, ANSIToTruecolor)]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the image if view, zoom, contrast or size changed, then return its rows."""
        room = Box(self.size.height, self.size.width)
        if self._drawn != (self._shown, room):
            self._drawn = (self._shown, room)
            self._rows = self._draw(room)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Return one row of cells."""
        if y < len(self._rows):
            return self._rows[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _draw(self, room: Box) -> list[Strip]:
        """Return the image, centred in the widget."""
        blank = Strip.blank(room.cols, self.rich_style)
        rows = self._image_rows(room)
        if not rows:
            return [blank] * room.rows
        above = (room.rows - len(rows)) // 2
        left = (room.cols - rows[0].cell_length) // 2
        right = room.cols - rows[0].cell_length - left
        before, after = (Segment(" " * cells, self.rich_style) for cells in (left, right))
        middle = [Strip([before, *row, after], room.cols) for row in rows]
        return [blank] * above + middle + [blank] * (room.rows - above - len(rows))

    def _image_rows(self, room: Box) -> list[Strip]:
        view, zoomed, contrast = self._shown
        if view is None or not room.rows or not room.cols:
            return []
        if zoomed:
            image = crop_one_to_one(view.pixels, room)
            return raster(image, Box(max(1, image.shape[0] // 2), image.shape[1]), contrast)
        image = view.reduced
        return raster(image, fit((image.shape[0], image.shape[1]), room), contrast)


def spectrum_view(view: View) -> View:
    """Return the power spectrum of a frame as a view."""
    spectrum = power_spectrum(view.reduced)
    return View(SPECTRUM, f"{view.caption} power spectrum", spectrum, spectrum)


def flip_prediction(view: View) -> View:
    """Return an image of A beside the prediction for B, without the in-plane rotation.

    The prediction is for the opposite tilt. The flip turns the specimen by 180 degrees about x,
    which mirrors the rows.
    """
    pair = _side_by_side(view.reduced, view.reduced[::-1])
    return View(FLIP_PREDICTION, f"{view.caption} | B expected", pair, pair)


def flip_comparison(image_b: View, image_a: View) -> View:
    """Return an image of B beside the prediction from A, without the in-plane rotation."""
    pair = _side_by_side(image_b.reduced, image_a.reduced[::-1])
    return View(image_b.name, f"{image_b.caption} | expected", pair, pair)


def _side_by_side(left: Picture, right: Picture) -> Picture:
    """Return two images with a gap, the right one scaled to the size of the left one."""
    rows, cols = left.shape
    right = right[np.arange(rows) * right.shape[0] // rows]
    right = right[:, np.arange(cols) * right.shape[1] // cols]
    return np.hstack([left, np.zeros((rows, max(2, cols // 30)), np.uint8), right])
