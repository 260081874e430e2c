"""Widget of the live image: one view, fitted to its box or one to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.segment import Segment
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from controller.service.previews import Picture
from controller.ui.tui.raster import Box, crop_one_to_one, fit, raster
from controller.ui.tui.screen_messages import View
from controller.ui.tui.view_order import FLIP_PREDICTION


class ImageView(Widget):
    """Image with a border; its caption is the title."""

    zoomed: reactive[bool] = reactive(False, layout=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._rows: list[Strip] = []
        self._drawn: tuple[View | None, bool, Box] | None = None

    def show(self, view: View | None) -> None:
        """Show a view; None shows an empty box."""
        if view is self._view:
            return
        self._view = view
        self._show_title()
        self.refresh()

    def watch_zoomed(self) -> None:
        """Update the title; the image is drawn at the other scale."""
        self._show_title()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Leave out the filter for ANSI colours: the greys are true colours already."""
        filters = super().get_line_filters()
        return [known for known in filters if not isinstance(known, ANSIToTruecolor)]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the image if view, zoom or size changed, then return its rows."""
        room = Box(self.size.height, self.size.width)
        wanted = (self._view, self.zoomed, room)
        if self._drawn != wanted:
            self._drawn = wanted
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
        if self._view is None or not room.rows or not room.cols:
            return []
        if self.zoomed:
            image = crop_one_to_one(self._view.pixels, room)
            return raster(image, Box(max(1, image.shape[0] // 2), image.shape[1]))
        image = self._view.reduced
        return raster(image, fit((image.shape[0], image.shape[1]), room))

    def _show_title(self) -> None:
        view = self._view
        self.border_title = "no image yet" if view is None else view.caption or view.name
        self.border_subtitle = "1:1" if self.zoomed else ""


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
