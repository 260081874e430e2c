"""Views of the report in a browser, with WebGL and without."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import which

import numpy as np
import pytest
from matplotlib.image import imread

from controller.report.write import write_report
from tests.report.particle_folders import HOSTILE, places, session, with_volumes, write_table


@dataclass(frozen=True)
class View:
    """One view: the choices of a reader in their order, and a colour that must then be seen."""

    name: str
    choices: tuple[tuple[str, str], ...] = ()
    colour: tuple[float, float, float] | None = None


GREY, BLUE, ORANGE, PURPLE, YELLOW = (
    (0.7, 0.7, 0.7),
    (0.18, 0.45, 0.79),
    (0.9, 0.5, 0.2),
    (0.28, 0.1, 0.38),
    (0.9, 0.85, 0.2),
)


EXIT = (0.85, 0.7, 0.55)
"""The exit surface on grey."""


VIEWS = [
    View("particles by series", (), GREY),
    View("particles by confidence", (("Colour by", "confidence"),), PURPLE),
    View("particles by diameter", (("Colour by", "diameter"),), YELLOW),
    View("particles by structure", (("Colour by", "structure"),), BLUE),
    View("particles by kind", (("Colour by", "kind"),), ORANGE),
    View("particles by grain", (("Colour by", "grain"),), BLUE),
    View("particles by depth", (("Colour by", "depth"),), PURPLE),
    View("particles cut across the beam", (("Cut across", "z (beam)"), ("at", "0.5"))),
    View("particles cut across the tilt axis", (("Cut across", "y (tilt axis)"),)),
    View("particles cut", (("Cut across", "x"),)),
    View("particles of A", (("Show", "particles, A"), ("at", "1")), PURPLE),
    View("particles of B", (("Show", "particles, B, in A’s frame"), ("Colour by", "confidence"))),
    View("particles of B by height", (("Colour by", "height"),), YELLOW),
    View("isosurface of A", (("Show", "isosurface, A"),), EXIT),
    View("isosurface of A without its exit", (("Exit surface", "off"),)),
    View("isosurface of B", (("Show", "isosurface, B, in A’s frame"),), EXIT),
    View("isosurface, fused", (("Show", "isosurface, fused"),), GREY),
    View("isosurface cut", (("at", "0.5"),)),
    View("isosurfaces side by side", (("Show", "isosurfaces side by side"), ("at", "1")), EXIT),
]


CHOOSE = """(() => {
  const label = [...document.querySelectorAll('#views label')]
    .find((element) => element.firstChild.textContent === %s);
  const input = label.lastChild;
  const choice = %s;
  if (input.type === 'range') {
    input.value = choice;
    input.dispatchEvent(new Event('input'));
  } else if (input.type === 'checkbox') {
    input.checked = choice === 'on';
  } else {
    input.value = [...input.options].find((option) => option.textContent === choice).value;
  }
  input.dispatchEvent(new Event('change'));
})()"""


SAVE = """(() => {
  window.saved = '';
  HTMLAnchorElement.prototype.click = function () { window.saved = this.href; };
  [...document.querySelectorAll('#views button')]
    .find((button) => button.textContent === 'Save picture').click();
})()"""
BAR = """(() => {
  const bar = document.querySelector('#views .stage .scale-bar');
  return [bar.textContent, bar.clientWidth];
})()"""
LOOKS_ALIKE = 0.004
"""Mean difference of two pictures of the same view; one marked surface changes it by 0.006."""
STAGE = slice(80, 430), slice(32, 680)
"""Rows and columns of the screen that show the particles, without bar and axes."""
FROM_THE_FRONT = np.array([0.894, 0.447])
"""Direction (x, y) to the right of the picture at first."""


ENOUGH_S = 120.0
TRIES = 200
"""Largest number of screenshots until a drag has turned the pictures."""


DRAWN = "document.getElementById('views').dataset.state === 'drawn'"


@pytest.fixture(scope="module")
def chromium() -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `web`")
    if which("chromium") is None and which("google-chrome") is None:
        pytest.skip("needs Chromium")


def inked(picture: np.ndarray) -> np.ndarray:
    """Return where a picture [y, x, rgb] is not its background."""
    return np.asarray(picture.min(axis=-1) < 0.9)


def width_nm(folder: Path) -> float:
    """Return the width of the particles as the first view shows them."""
    rows = np.genfromtxt(folder / "processed/particles_fused.csv", delimiter=",", names=True)
    across = np.stack([rows["x_nm"], rows["y_nm"]], axis=1) @ FROM_THE_FRONT
    return float(np.ptp(across) + rows["diameter_nm"].mean())


def as_picture(shot: bytes) -> np.ndarray:
    """Return a screenshot as [y, x, rgb]."""
    return np.asarray(imread(io.BytesIO(shot))[..., :3])


@pytest.mark.usefixtures("chromium")
def test_a_browser_shows_each_view(tmp_path: Path) -> None:
    """The report comes from `dualtilt serve`, whose policy is stricter than that of a file."""
    from aiohttp.test_utils import TestServer

    from controller.ui.web.page_server import page_app
    from tests.web.browser import SOFTWARE_GRAPHICS, open_page

    folder, number = with_volumes(tmp_path), np.arange(200)
    write_table(
        folder,
        "fused",
        places(),
        diameter_nm=5.8 + number % 5 / 10,
        structure=np.where(number % 2, HOSTILE, "fcc"),
        kind=np.where(number % 4, "Au", "Ag"),
        grain=number % 3,
        depth_nm=number / 10,
    )
    write_report(folder)

    async def visit() -> dict[str, bytes]:
        shots = {}
        async with (
            TestServer(page_app(tmp_path, "127.0.0.1")) as server,
            open_page(
                str(server.make_url("/report")),
                tmp_path / "profile",
                (800, 700),
                SOFTWARE_GRAPHICS,
            ) as page,
        ):
            await page.until("document.querySelector('footer') !== null", ENOUGH_S)
            await page.evaluate("document.getElementById('views').scrollIntoView()")
            await page.until(DRAWN, ENOUGH_S)
            for view in VIEWS:
                for label, choice in view.choices:
                    words = json.dumps(choice)
                    await page.evaluate(CHOOSE % (json.dumps(label), words))
                    await page.until(DRAWN, ENOUGH_S)
                shots[view.name] = await page.screenshot()
                if view.name == "particles by structure":
                    legend = "document.querySelector('#views .legend').textContent"
                    assert HOSTILE in await page.evaluate(legend)
            for kind, x, y in (("Pressed", 150, 220), ("Moved", 210, 200), ("Released", 210, 200)):
                place = {"x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
                await page.call("Input.dispatchMouseEvent", type=f"mouse{kind}", **place)
            before = as_picture(shots["isosurfaces side by side"])
            for _ in range(TRIES):
                turned = np.abs(as_picture(await page.screenshot()) - before).max(axis=-1)
                thirds = [turned[110:310, left : left + 250].mean() for left in (20, 275, 530)]
                if min(thirds) > 0.01:
                    break
            assert min(thirds) > 0.01, f"not all turned with the first: {thirds}"
            assert not await page.evaluate("window.broken")
        return shots

    shots = asyncio.run(visit())
    pictures = {name: as_picture(shot)[160:460, 200:600] for name, shot in shots.items()}
    for view in VIEWS:
        picture = pictures[view.name]
        assert picture.std() > 0.03, f"{view.name}: an empty stage"
        if view.colour is not None:
            near = np.abs(picture - np.array(view.colour)).max(axis=-1) < 0.15
            assert near.mean() > 0.003, f"{view.name}: its colour is missing"
    for one, other in pairwise(VIEWS):
        changed = np.abs(pictures[one.name] - pictures[other.name]).max(axis=-1)
        assert changed.mean() > LOOKS_ALIKE, f"{other.name}: looks like {one.name}"


@pytest.mark.usefixtures("chromium")
def test_the_scale_is_that_of_the_particles_also_in_a_saved_picture(tmp_path: Path) -> None:
    from tests.web.browser import SOFTWARE_GRAPHICS, open_page

    address = write_report(session(tmp_path)).as_uri()

    async def visit() -> tuple[list[object], bytes, str]:
        async with open_page(address, tmp_path / "profile", (800, 700), SOFTWARE_GRAPHICS) as page:
            await page.until("document.querySelector('footer') !== null", ENOUGH_S)
            await page.evaluate("document.getElementById('views').scrollIntoView()")
            await page.until(DRAWN, ENOUGH_S)
            await page.until("document.querySelector('.scale-bar').clientWidth > 0", ENOUGH_S)
            shot = await page.screenshot()
            await page.evaluate(SAVE)
            await page.until("window.saved !== ''", ENOUGH_S)
            return await page.evaluate(BAR), shot, await page.evaluate("window.saved")

    (words, bar_px), shot, saved = asyncio.run(visit())
    number, unit = str(words).split()
    shown = inked(as_picture(shot))[STAGE]
    columns = np.flatnonzero(shown.any(axis=0))
    assert unit == "nm"
    shown_nm = (np.ptp(columns) + 1) * float(number) / float(str(bar_px))
    assert shown_nm == pytest.approx(width_nm(tmp_path), rel=0.15)
    kept = inked(as_picture(base64.b64decode(saved.partition(",")[2])))
    assert kept.sum() == pytest.approx(4 * shown.sum(), rel=0.15)


@pytest.mark.usefixtures("chromium")
def test_a_browser_without_webgl_shows_still_pictures(tmp_path: Path) -> None:
    from tests.web.browser import open_page

    address = write_report(session(tmp_path)).as_uri()
    without = ("--disable-gpu", "--disable-3d-apis")

    async def visit() -> tuple[list[str], bytes]:
        async with open_page(address, tmp_path / "profile", (800, 700), without) as page:
            await page.until("document.querySelector('footer') !== null", ENOUGH_S)
            await page.evaluate("document.getElementById('views').scrollIntoView()")
            shown = [
                await page.evaluate(f"getComputedStyle(document.querySelector('{part}')).display")
                for part in ("#views .stage", "#views .stills", ".still")
            ]
            return shown, await page.screenshot()

    shown, shot = asyncio.run(visit())
    assert shown[0] == "none" and "none" not in shown[1:]
    assert imread(io.BytesIO(shot))[50:250, :, :3].std() > 0.05
