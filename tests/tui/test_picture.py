"""The live picture: contrast, histogram, spectrum, scale bar; pixels where the terminal can."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from textual.pilot import Pilot

from controller.ui.picture_tools import histogram_bars, power_spectrum, scale_bar_nm
from controller.ui.tui.session_app import SessionApp
from tests.support import scripted_session as script
from tests.tui.phases import upto_a41
from tests.tui.support import drive, lines, post, post_pictures, shown

BAR = re.compile(r"├─*┤(\d+) nm")


def grating(period_px: int, side_px: int = 128) -> np.ndarray:
    columns = 128 + 100 * np.sin(2 * np.pi * np.arange(side_px) / period_px)
    return np.tile(columns, (side_px, 1)).astype(np.uint8)


@pytest.mark.parametrize("period_px", [4, 8, 16])
def test_the_spectrum_of_a_grating_has_its_frequency(period_px: int) -> None:
    spectrum = power_spectrum(grating(period_px)).astype(int)
    middle = spectrum[64, 64 + 4 :]
    assert np.argmax(middle) + 4 == 128 // period_px
    assert spectrum[64 + 128 // period_px, 64] < middle.max() / 2, "only across the lines"


@pytest.mark.parametrize(
    ("width_nm", "bar_nm"), [(211.2, 50.0), (100.0, 20.0), (3400.0, 1000.0), (3.6, 1.0), (0.7, 0.2)]
)
def test_scale_bars_have_round_lengths(width_nm: float, bar_nm: float) -> None:
    assert scale_bar_nm(width_nm) == pytest.approx(bar_nm)


def test_a_histogram_shows_both_ends() -> None:
    dark_and_bright = np.array([[0] * 3 + [255]], np.uint8)
    bars = histogram_bars(dark_and_bright)
    assert bars[0] == "█" and bars[-1] not in " █" and set(bars[1:-1]) == {" "}


def test_a_key_changes_the_contrast() -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        pictures = []
        for _ in range(3):
            pictures.append(lines(app)[2:18])
            await pilot.press("c")
            await pilot.pause()
        assert pictures[0] != pictures[1] != pictures[2]
        assert lines(app)[2:18] == pictures[0], "automatic again"

    drive(body)


@pytest.mark.parametrize("zoomed", [False, True])
def test_the_scale_bar_is_as_long_as_it_says(zoomed: bool) -> None:
    async def body(app: SessionApp, pilot: Pilot[None]) -> None:
        post(app, upto_a41())
        post_pictures(app)
        await pilot.pause()
        if zoomed:
            await pilot.press("z")
            await pilot.pause()
        found = BAR.search(shown(app))
        assert found is not None
        side_px = script.pictures()["frame"][0].shape[1]
        columns = side_px if zoomed else 2 * 40  # a square picture in 40 rows
        assert len(found[0].split("┤")[0]) + 1 == pytest.approx(
            int(found[1]) / script.PIXEL_NM * columns / side_px, abs=1.0
        )

    drive(body, size=(160, 46))


SHOW_A_PICTURE = """
import asyncio
from controller.ui.tui.session_app import SessionApp
from tests.tui.support import FOLDER, post, post_pictures
from tests.tui.phases import upto_a41

async def show(pilot):
    post(pilot.app, upto_a41())
    post_pictures(pilot.app)
    await pilot.pause()
    await asyncio.sleep(0.5)
    pilot.app.exit()

SessionApp(FOLDER, follow=False).run(auto_pilot=show)
"""


@dataclass(frozen=True)
class Terminal:
    """Terminal that answers the question what it can do."""

    can: bytes
    pixels: bool
    environment: dict[str, str] = field(default_factory=dict)
    late_s: float = 0.0


WORKS = b"\x1b[0n"
TERMINALS = {
    "with sixel graphics": Terminal(b"\x1b[?62;4;22c", pixels=True),
    "without": Terminal(b"\x1b[?62;22c", pixels=False),
    "blocks are wanted": Terminal(
        b"\x1b[?62;4;22c", pixels=False, environment={"DUALTILT_PICTURES": "blocks"}
    ),
    "a key is typed before its answer": Terminal(b"x\x1b[?62;4;22c", pixels=False),
    "its answer is late": Terminal(b"\x1b[?62;4;22c", pixels=False, late_s=0.3),
}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("terminal", TERMINALS.values(), ids=TERMINALS)
def test_pixels_are_drawn_where_the_terminal_can(terminal: Terminal) -> None:
    """Its answers are never taken for keys: a question mark would open the help."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 960, 640))
    environment = {"TERM": "xterm-256color", "COLORTERM": "truecolor", **terminal.environment}
    child = subprocess.Popen(
        [sys.executable, "-c", SHOW_A_PICTURE],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := _read(ours):
            answer = terminal.can * chunk.count(b"\x1b[c") + WORKS * chunk.count(b"\x1b[5n")
            if answer:
                time.sleep(terminal.late_s)
                os.write(ours, answer)
            seen += chunk
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    text = seen.decode("utf-8", "replace")
    assert ("\x1bP" in text and '"1;1;' in text) == terminal.pixels, "sixel data with raster size"
    assert any(glyph in text for glyph in "▛▜▙▟") != terminal.pixels
    assert "frame A#41" in text
    assert "Esc: back" not in text, "the help"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # the other side is closed
