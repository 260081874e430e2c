"""Sixel data of grey pictures, read back as a terminal reads them."""

from __future__ import annotations

import re
from unittest.mock import patch

import numpy as np
import pytest
from textual.drivers.headless_driver import HeadlessDriver
from textual.pilot import Pilot

from controller.ui.tui.layout import LINES_AROUND_BODY
from controller.ui.tui.session_app import SessionApp
from controller.ui.tui.sixel import BAND_ROWS, END, FIRST_CHARACTER, START, Levels, sixel_text
from controller.ui.tui.terminal_graphics import LARGEST_SIDE_PX
from tests.benchmarks.bench_screen import CELL_PX, terminal
from tests.tui.sessions import until
from tests.tui.support import drive, post_pictures

SHADES = 32
SIXELS = re.compile(f"{START}.*?{re.escape(END)}")
HEAD = re.compile(r'"1;1;(?P<cols>\d+);(?P<rows>\d+)(?:#\d+;2;\d+;\d+;\d+)+')
PART = re.compile(r"#(?P<level>\d+)|(?:!(?P<times>\d+))?(?P<sixel>[?-~])|(?P<next>[$-])")


def shown(text: str) -> Levels:
    """Return the levels that a terminal shows."""
    body = text.removeprefix(START).removesuffix(END)
    head = HEAD.match(body)
    assert head is not None
    rows, cols = int(head["rows"]), int(head["cols"])
    levels = np.full((rows + BAND_ROWS, cols), 255, np.uint8)
    x = y = level = 0
    for part in PART.finditer(body, head.end()):
        if part["level"] is not None:
            level = int(part["level"])
        elif part["next"]:
            x, y = 0, y + BAND_ROWS * (part["next"] == "-")
        else:
            bits = ord(part["sixel"]) - FIRST_CHARACTER
            times = int(part["times"] or 1)
            for row in range(BAND_ROWS):
                if bits >> row & 1:
                    levels[y + row, x : x + times] = level
            x += times
    return levels[:rows]


def noise(rows: int, cols: int) -> Levels:
    return np.random.default_rng(rows).integers(0, SHADES, (rows, cols)).astype(np.uint8)


PICTURES = {
    "noise": noise(36, 40),
    "rows that fill no band": noise(7, 5),
    "one pixel": noise(1, 1),
    "one grey": np.full((20, 300), 3, np.uint8),
    "enlarged": noise(13, 30).repeat(3, 0).repeat(12, 1),
}


@pytest.mark.parametrize("levels", PICTURES.values(), ids=PICTURES)
def test_a_terminal_shows_the_picture(levels: Levels) -> None:
    np.testing.assert_array_equal(shown(sixel_text(levels, SHADES)), levels)


def test_runs_are_sent_as_numbers() -> None:
    assert len(sixel_text(np.full((6, 2000), 5, np.uint8), SHADES)) < 800


def test_the_benchmark_sends_the_picture_that_the_screen_made() -> None:
    sent: list[str] = []
    side = (40 - LINES_AROUND_BODY - 2) * CELL_PX[1]

    def newest() -> Levels | None:
        pictures = [text for part in sent for text in SIXELS.findall(part)]
        return shown(pictures[-1]) if pictures else None

    def is_laid_out() -> bool:
        picture = newest()
        return picture is not None and picture.shape == (side, side)

    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post_pictures(app)
        await until(is_laid_out)

    with (
        terminal("sixel"),
        patch.object(HeadlessDriver, "write", lambda driver, text: sent.append(text)),
    ):
        drive(body, size=(120, 40))
    picture = newest()
    assert picture is not None
    drawn = np.flatnonzero((picture[:, 1:] != picture[:, :-1]).any(axis=0))
    assert len(drawn) < LARGEST_SIDE_PX, "each pixel is enlarged, not interpolated"
