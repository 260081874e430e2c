"""The live image: one view at a time, fitted to the box or one to one."""

from __future__ import annotations

import numpy as np
from rich.segment import Segment
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from controller.tui.messages import View
from controller.tui.raster import Box, crop_one_to_one, fit, raster


class ImageView(Widget):
    """A bordered image; the title says what it is."""

    zoomed: reactive[bool] = reactive(False, layout=False)

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._view: View | None = None
        self._rows: list[Strip] = []
        self._drawn: tuple[int, bool, Box] | None = None

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

    def render_line(self, y: int) -> Strip:
        """One row of cells of the image, centred."""
        self._draw(Box(self.size.height, self.size.width))
        top = (self.size.height - len(self._rows)) // 2
        if not 0 <= y - top < len(self._rows):
            return Strip.blank(self.size.width, self.rich_style)
        row = self._rows[y - top]
        left = (self.size.width - row.cell_length) // 2
        margin = Segment(" " * left, self.rich_style)
        return Strip([margin, *row]).adjust_cell_length(self.size.width, self.rich_style)

    def _draw(self, room: Box) -> None:
        """Raster the image, unless what is there is still right for this size."""
        wanted = (id(self._view), self.zoomed, room)
        if self._drawn == wanted:
            return
        self._drawn = wanted
        if self._view is None or not room.rows or not room.cols:
            self._rows = []
        elif self.zoomed:
            image = crop_one_to_one(self._view.pixels, room)
            shown = Box(max(1, image.shape[0] // 2), image.shape[1])
            self._rows = raster(image, shown)
        else:
            image = self._view.reduced
            self._rows = raster(image, fit((image.shape[0], image.shape[1]), room))

    def _title(self) -> None:
        view = self._view
        self.border_title = "no image yet" if view is None else view.caption or view.name
        self.border_subtitle = "1:1" if self.zoomed else ""


def beside_its_mirror(view: View) -> View:
    """A's image beside what B should look like at 0 degrees, turned by any angle in the plane.

    The flip turns the specimen by 180 degrees about x, so that rows are mirrored.
    """
    image = view.reduced
    gap = np.zeros((image.shape[0], max(2, image.shape[1] // 30)), np.uint8)
    pair = np.hstack([image, gap, image[::-1]])
    return View("flip", "A, and how B should look", pair, pair)
