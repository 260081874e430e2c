"""CPU time of one screen refresh: a new frame, a new point in each plot, the terminal's codes.

The peer uses Textual alone: a Static shows the same frame as a Rich text of half blocks, with two
samples per cell (ours: four) and no plots. Both run in the same process and refresh in turns; the
output is discarded. On terminals that draw pixels, kitty and those with sixels, ours runs alone:
`python -m tests.benchmarks.bench_screen` prints the median of 200 refreshes on each.
"""

from __future__ import annotations

import asyncio
import gc
import io
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from unittest.mock import patch

import numpy as np
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Static
from textual_image._terminal import CellSize, get_cell_size

from controller.service.previews import Picture, reduce_picture
from controller.service.session_status import SessionStatus
from controller.service.status_reducer import next_status
from controller.ui.tui import image_view
from controller.ui.tui.layout import LINES_AROUND_BODY, image_cells
from controller.ui.tui.screen_messages import PictureArrived, StatusArrived, View
from controller.ui.tui.session_app import SessionApp
from controller.ui.tui.session_follower import REDUCED_SIDE_PX
from controller.ui.tui.terminal_graphics import sixel_widget
from tests.benchmarks.row import Row
from tests.support import scripted_session as script

SIZES = ((80, 24), (120, 40), (200, 50))
LIMIT_S = 0.025
RATIO = 0.8
WARM_UP = 5
REFRESHES = 30
REFRESHES_ALONE = 200
CELL_PX = (8, 16)
"""Width and height of a cell of a terminal that draws pixels."""
FRAME_SIDE_PX = 512

Refresh = Callable[[int], Awaitable[None]]


def kitty_widget() -> Widget:
    """Return the widget of a terminal with kitty's graphics."""
    from textual_image.widget import TGPImage

    return TGPImage()


TERMINALS: dict[str, Callable[[], Widget] | None] = {
    "blocks": None,
    "kitty": kitty_widget,
    "sixel": sixel_widget,
}


def run_alone() -> None:
    """Print the median CPU time of a refresh on each kind of terminal."""
    for kind in TERMINALS:
        for size in SIZES[:2]:
            with terminal(kind):
                times_s = asyncio.run(_alone(size))
            sys.stdout.write(
                f"{kind}, {size[0]} x {size[1]} cells: {1000 * statistics.median(times_s):.1f} ms, "
                f"best and worst of {len(times_s)} {1000 * min(times_s):.1f} and "
                f"{1000 * max(times_s):.1f} ms\n"
            )


@contextmanager
def terminal(kind: str) -> Iterator[None]:
    """Let screens draw for one kind of terminal; all output is made, and discarded."""
    widget = TERMINALS[kind]
    cell = None if widget is None else CellSize(*CELL_PX)
    with (
        patch.object(HeadlessDriver, "is_headless", False),
        patch.object(image_view, "cell_px", lambda: cell),
        patch.object(image_view, "pixel_widget", widget),
        # the library that sends the picture asks for the size of a cell by itself: with another
        # answer it scales each picture again
        patch.object(get_cell_size, "_result", cell, create=True),
        patch("sys.__stdout__", io.StringIO()),  # kitty's pictures go there
    ):
        yield


async def _alone(size: tuple[int, int]) -> list[float]:
    app = SessionApp(Path("/data/au-assembly"), follow=False)
    async with app.run_test(size=size) as pilot:
        refresh = _ours(app, pilot)
        times_s = [await _cpu_s(refresh, number) for number in range(WARM_UP + REFRESHES_ALONE)]
    return times_s[WARM_UP:]


class HalfBlocks(App[None]):
    """Peer: shows the frame, and nothing else."""

    def compose(self) -> ComposeResult:
        """Yield the only widget."""
        yield Static(id="image")


def run() -> list[Row]:
    """Measure each size of terminal."""
    # a headless Textual does not make the terminal's codes, which are part of the cost
    with patch.object(HeadlessDriver, "is_headless", False):
        return [asyncio.run(_measure(size)) for size in SIZES]


async def _measure(size: tuple[int, int]) -> Row:
    ours, peer = SessionApp(Path("/data/au-assembly"), follow=False), HalfBlocks()
    async with peer.run_test(size=size) as at_peer, ours.run_test(size=size) as at_ours:
        times = await _in_turns(_ours(ours, at_ours), _peer(peer, at_peer))
    ours_s, peer_s = (statistics.median(column) for column in zip(*times, strict=True))
    cells = f"{size[0]} x {size[1]} cells"
    return Row(f"refresh of image and plots, {cells}, CPU", ours_s, "Rich", peer_s, RATIO, LIMIT_S)


async def _in_turns(ours: Refresh, peer: Refresh) -> list[tuple[float, float]]:
    times = []
    for number in range(WARM_UP + REFRESHES):
        times.append((await _cpu_s(ours, number), await _cpu_s(peer, number)))
    return times[WARM_UP:]


async def _cpu_s(refresh: Refresh, number: int) -> float:
    gc.collect()
    start_s = time.process_time()
    await refresh(number)
    return time.process_time() - start_s


def _ours(app: SessionApp, pilot: Pilot[None]) -> Refresh:
    """Return a refresh: a frame recorded and counted, and its picture, as the follower posts."""
    before = (script.preflight(), script.shower(), script.series("A", 5))
    records = script.records(chain([script.started(Path("/"))], *before))
    status = SessionStatus()
    for record in records:
        status = next_status(status, record)
    rest = script.records(script.series("A"), len(records))[len(records) - 5 :]
    statuses = []
    for record in rest:
        status = next_status(status, record)
        statuses.append(status)
    frames = _frames()

    async def refresh(number: int) -> None:
        frame = frames[number % len(frames)]
        app.post_message(StatusArrived(statuses[4 * number % len(statuses)]))
        reduced = reduce_picture(frame, REDUCED_SIDE_PX)
        app.post_message(PictureArrived(View("frame", f"A#{number}", frame, reduced)))
        await pilot.pause()

    return refresh


def _peer(app: HalfBlocks, pilot: Pilot[None]) -> Refresh:
    frames = _frames()
    image = app.query_one("#image", Static)
    rows, cols = app.size.height - LINES_AROUND_BODY - 2, image_cells(app.size) - 2

    async def refresh(number: int) -> None:
        image.update(_half_blocks(frames[number % len(frames)], rows, cols))
        await pilot.pause()

    return refresh


def _half_blocks(frame: Picture, rows: int, cols: int) -> Text:
    y = np.linspace(0, len(frame) - 1, 2 * rows).astype(int)
    x = np.linspace(0, len(frame) - 1, cols).astype(int)
    samples = frame[np.ix_(y[::-1], x)]
    text = Text(no_wrap=True)
    for above, below in zip(samples[::2], samples[1::2], strict=True):
        for upper, lower in zip(above, below, strict=True):
            style = Style(
                color=f"rgb({upper},{upper},{upper})", bgcolor=f"rgb({lower},{lower},{lower})"
            )
            text.append("▀", style)
        text.append("\n")
    return text


def _frames() -> list[Picture]:
    frame = script.picture(FRAME_SIDE_PX, 8.0)
    return [np.roll(frame, 7 * shift, axis=0) for shift in range(8)]


if __name__ == "__main__":
    run_alone()
