"""The live image: one view at a time, fitted to the box or one to one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.segment import Segment
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from controller.service.pictures import Picture
from controller.ui.tui.messages import View
from controller.ui.tui.raster import Box, crop_one_to_one, fit, raster
from controller.ui.tui.views import FLIP


class ImageView(Widget):
    """A bordered image; the title says what it is."""

    zoomed: reactive[bool] = reactive(False, layout=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._rows: list[Strip] = []
        self._drawn: tuple[View | None, bool, Box] | None = None

    def show(self, view: View | None) -> None:
        """Show a view; None where there is nothing to see yet."""
        if view is self._view:
            return
        self._view = view
        self._title()
        self.refresh()

    def watch_zoomed(self) -> None:
        """Draw anew at the other scale."""
        self._title()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Leave out the one for a terminal's own colours: greys in full need no translation."""
        filters = super().get_line_filters()
        return [known for known in filters if not isinstance(known, ANSIToTruecolor)]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the image where it is not drawn for this size yet, then its rows."""
        room = Box(self.size.height, self.size.width)
        wanted = (self._view, self.zoomed, room)
        if self._drawn != wanted:
            self._drawn = wanted
            self._rows = self._draw(room)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One row of cells."""
        if y < len(self._rows):
            return self._rows[y]
        return Strip.blank(self.size.width, self.rich_style)

    def _draw(self, room: Box) -> list[Strip]:
        """The image in the middle of the room it has."""
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

    def _title(self) -> None:
        view = self._view
        self.border_title = "no image yet" if view is None else view.caption or view.name
        self.border_subtitle = "1:1" if self.zoomed else ""


def beside_its_mirror(view: View) -> View:
    """A's image beside what B should look like at the opposite tilt, but for the in-plane turn.

    The flip turns the specimen by 180 degrees about x, so that rows are mirrored.
    """
    pair = _side_by_side(view.reduced, view.reduced[::-1])
    return View(FLIP, f"{view.caption} | B expected", pair, pair)


def beside_the_expected(seen: View, of_a: View) -> View:
    """B as it was seen beside what A's image lets expect, but for the in-plane turn."""
    pair = _side_by_side(seen.reduced, of_a.reduced[::-1])
    return View(seen.name, f"{seen.caption} | expected", pair, pair)


def _side_by_side(left: Picture, right: Picture) -> Picture:
    """Two images with a gap; the right one brought to the size of the left one."""
    rows, cols = left.shape
    right = right[np.arange(rows) * right.shape[0] // rows]
    right = right[:, np.arange(cols) * right.shape[1] // cols]
    return np.hstack([left, np.zeros((rows, max(2, cols // 30)), np.uint8), right])
