"""Views of the report in three dimensions: their data, and what a browser shows of them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from controller.report.report_data import read_report_data
from controller.report.views import page_parts
from controller.report.views.assembly import read_assembly
from controller.report.views.isosurfaces import as_bytes, coarse_volume, exit_surface
from controller.report.views.scene import scene
from controller.report.volumes import IDENTITY, Pose, Volume
from controller.report.write import write_report
from processing.files.mrc import write_volume

HOSTILE = "</script><img src=x onerror=window.broken=1>"
DIAMETER_NM = 6.0


def places(n: int = 200) -> np.ndarray:
    """Return the centres of a lattice of particles, nm."""
    along = np.arange(6) * 7.5 - 18.75
    return np.stack(np.meshgrid(along, along, along), axis=-1).reshape(-1, 3)[:n]


def write_table(folder: Path, name: str, centres: np.ndarray, **columns: Any) -> None:
    """Write a particle table with more columns than those of every table."""
    values: dict[str, Any] = {
        "id": range(1, len(centres) + 1),
        "x_nm": centres[:, 0],
        "y_nm": centres[:, 1],
        "z_nm": centres[:, 2],
        "diameter_nm": [DIAMETER_NM] * len(centres),
        "confidence": np.linspace(0.5, 1, len(centres)),
        **columns,
    }
    lines = [
        ",".join(values),
        *(",".join(map(str, row)) for row in zip(*values.values(), strict=True)),
    ]
    (folder / "processed").mkdir(exist_ok=True)
    (folder / "processed" / f"particles_{name}.csv").write_text("\n".join(lines) + "\n")


def session(folder: Path) -> Path:
    """Make a folder with the particles of A, B and both."""
    centres = places()
    write_table(folder, "A", centres[:190])
    write_table(folder, "B", centres[5:] + 0.5)
    structure = [HOSTILE if place % 2 else "fcc" for place in range(200)]
    write_table(folder, "fused", centres, structure=structure, grain=np.arange(200) % 3)
    (folder / "processed" / "summary.json").write_text(
        json.dumps({"counts": {"fused": {"n": 200, "n_low": 199, "n_high": 202}}})
    )
    return folder


def unpacked(packed: Mapping[str, Any]) -> np.ndarray:
    code = zlib.decompress(base64.b64decode(packed["zlib"]))
    return np.frombuffer(code, packed["dtype"]).reshape(packed["shape"])


def fused(folder: Path) -> dict[str, Any]:
    data = read_report_data(folder)
    assembly = read_assembly(data)
    assert assembly is not None
    particles: dict[str, Any] = scene(data, assembly)["particles"]["fused"]
    return particles


def test_particles_are_told_by_the_series_that_show_them(tmp_path: Path) -> None:
    particles = fused(session(tmp_path))
    np.testing.assert_allclose(
        unpacked(particles["positions"]) * particles["step_nm"], places(), atol=0.01
    )
    [seen, *_] = particles["colourings"]
    counts = dict(zip(seen["names"], seen["counts"], strict=True))
    assert (counts["A and B"], counts["A only"], counts["B only"]) == (185, 5, 10)
    assert (unpacked(seen["values"])[:5] == seen["names"].index("A only")).all()


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        pytest.param({}, ["confidence", "z_nm"], id="an early table"),
        pytest.param(
            {"grain": range(20), "structure": ["fcc"] * 19 + ["hcp"]},
            ["confidence", "structure", "grain", "z_nm"],
            id="a table with structure",
        ),
        pytest.param(
            {"beside": ["false"] * 19 + ["true"]},
            ["confidence", "beside", "z_nm"],
            id="particles beside the object",
        ),
        pytest.param({"grain": [1] * 20}, ["confidence", "z_nm"], id="one value in each line"),
        pytest.param({"diameter_nm": ["?"] + [6.0] * 19}, None, id="a diameter that is no number"),
        pytest.param({"confidence": ["?"] * 20}, ["z_nm"], id="a confidence that is no number"),
        pytest.param({"unknown": range(20)}, ["confidence", "z_nm"], id="an unknown column"),
    ],
)
def test_colours_are_those_of_the_columns_that_exist(
    tmp_path: Path, columns: dict[str, Any], names: list[str] | None
) -> None:
    write_table(tmp_path, "fused", places(20), **columns)
    (tmp_path / "processed" / "summary.json").write_text('{"counts": {"fused": {"n": 20}}}')
    if names is None:
        assert read_assembly(read_report_data(tmp_path)) is None
        return
    assert [found["name"] for found in fused(tmp_path)["colourings"]] == names


@pytest.mark.parametrize(
    ("moved_nm", "n", "names"),
    [
        pytest.param(0.0, 20, ["confidence", "structure", "grain", "z_nm"], id="same particles"),
        pytest.param(0.5, 20, ["confidence", "z_nm"], id="counted again since"),
        pytest.param(0.0, 19, ["confidence", "z_nm"], id="another number of particles"),
    ],
)
def test_the_structure_of_the_same_particles_colours_them(
    tmp_path: Path, moved_nm: float, n: int, names: list[str]
) -> None:
    write_table(tmp_path, "fused", places(20))
    processed = tmp_path / "processed"
    rows = [
        f"{number},{x:.4f},{y:.4f},{z:.4f},{'fcc' if number % 2 else 'hcp'},{number % 3}"
        for number, (x, y, z) in enumerate(places(n) + moved_nm)
    ]
    lines = ["id,x_nm,y_nm,z_nm,structure,grain", *rows]
    (processed / "structure.csv").write_text("\n".join(lines) + "\n")
    (processed / "summary.json").write_text('{"counts": {"fused": {"n": 20}}}')
    found = fused(tmp_path)["colourings"]
    assert [colouring["name"] for colouring in found] == names
    if "grain" in names:
        assert found[2]["names"] == ["none", "1", "2"]


def test_particles_beside_the_object_are_shown_and_not_counted(tmp_path: Path) -> None:
    centres = np.concatenate([places(20), [[300.0, 0, 0]]])
    write_table(tmp_path, "fused", centres, beside=["false"] * 20 + ["true"])
    (tmp_path / "processed" / "summary.json").write_text('{"counts": {"fused": {"n": 20}}}')
    particles = fused(tmp_path)
    assert (particles["counted"], particles["beside"]) == (20, 1)
    assembly = read_assembly(read_report_data(tmp_path))
    assert assembly is not None and assembly.reach_nm < 50


def test_words_of_a_table_cannot_end_the_script(tmp_path: Path) -> None:
    page = write_report(session(tmp_path)).read_text()
    assert HOSTILE not in page
    content = re.search(r'<script type="application/json" id="scene">(.*?)</script>', page)
    assert content is not None
    [structure] = [
        found
        for found in json.loads(content[1])["particles"]["fused"]["colourings"]
        if found["name"] == "structure"
    ]
    assert HOSTILE in structure["names"]


def test_the_page_holds_the_licence_of_what_draws(tmp_path: Path) -> None:
    page = write_report(session(tmp_path)).read_text()
    assert "K3D-jupyter" in page and "Permission is hereby granted, free of charge" in page


def test_without_the_package_the_report_has_still_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_parts, "k3d_source", lambda: None)
    page = write_report(session(tmp_path)).read_text()
    assert "<script" not in page and "script-src 'none'" in page
    assert '<div class="stills"' in page


def ball(folder: Path, side: int, pixel_nm: float, middle_nm: np.ndarray) -> Path:
    """Write a volume with a ball of 20 nm radius about `middle_nm` (x, y, z)."""
    along = ((np.arange(side) - (side - 1) / 2) * pixel_nm).astype(np.float32)
    x, y, z = (along - middle for middle in middle_nm.astype(np.float32))
    inside = x**2 + y[:, None] ** 2 + z[:, None, None] ** 2 < 20**2
    write_volume(folder / "ball.mrc", inside.astype(np.float32), pixel_nm)
    return folder / "ball.mrc"


MIDDLE_NM = np.array([6.0, -3.0, 9.0])
TURNED = Pose(np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]]), np.array([4.0, -6.0, 2.0]), 1.01)


@pytest.mark.parametrize(
    ("side", "pixel_nm", "finest_nm", "pose"),
    [
        pytest.param(60, 1.0, 1.0, IDENTITY, id="as it is"),
        pytest.param(60, 1.0, 1.7, IDENTITY, id="averaged"),
        pytest.param(60, 1.0, 1.7, TURNED, id="in the coordinates of B"),
        pytest.param(240, 0.25, 0.0, IDENTITY, id="more planes than are read"),
    ],
)
def test_an_isosurface_is_at_its_place(
    tmp_path: Path, side: int, pixel_nm: float, finest_nm: float, pose: Pose
) -> None:
    volume = Volume(ball(tmp_path, side, pixel_nm, MIDDLE_NM), pose)
    in_a = pose.scale * pose.matrix @ MIDDLE_NM + pose.shift_nm
    coarse = coarse_volume(volume, in_a, 24.0, finest_nm)
    shape = np.array(coarse.values.shape)
    assert shape.max() <= 112
    unit = np.argwhere(coarse.values > 0.5)[:, ::-1] / (shape[::-1] - 1) - 0.5
    places = unit @ coarse.matrix[:3, :3].T + coarse.matrix[:3, 3]
    np.testing.assert_allclose(places.mean(axis=0), in_a, atol=0.1 * coarse.step_nm)
    reach = np.linalg.norm(places - in_a, axis=1).max()
    assert reach == pytest.approx(20 * pose.scale, abs=coarse.step_nm)
    filled_nm3 = coarse.values.sum() * (coarse.step_nm * pose.scale) ** 3
    assert filled_nm3 == pytest.approx(4 / 3 * np.pi * (20 * pose.scale) ** 3, rel=0.03)


@pytest.mark.parametrize(
    ("pose", "side", "down"),
    [
        pytest.param(IDENTITY, -1, -1, id="A, below"),
        pytest.param(IDENTITY, 1, 1, id="B registered, above"),
        pytest.param(TURNED, -1, 1, id="B in its own coordinates, above"),
    ],
)
def test_the_exit_surface_lies_outside_on_the_exit_side(
    tmp_path: Path, pose: Pose, side: int, down: int
) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.zeros(3)), pose)
    surface = exit_surface(coarse_volume(volume, pose.shift_nm, 29.0, 1.5), 6.0, side)
    assert surface is not None
    place = surface.corners_nm - pose.shift_nm
    distance = np.linalg.norm(place, axis=1)
    middle = np.hypot(place[:, 0], place[:, 1]) < 10
    assert (down * place[middle, 2] > 15).all()
    np.testing.assert_allclose(distance[middle], 20 + 3, atol=3)
    assert surface.triangles.max() == len(surface.corners_nm) - 1


def test_the_brightest_voxels_stay_the_brightest() -> None:
    values = np.linspace(-0.2, 1.3, 1000, dtype=np.float32).reshape(10, 10, 10)
    stored = as_bytes(values).ravel()
    assert (np.diff(stored.astype(int)) >= 0).all() and (stored[0], stored[-1]) == (0, 252)


def test_an_assembly_cut_off_by_the_volume_has_no_exit_surface(tmp_path: Path) -> None:
    volume = Volume(ball(tmp_path, 60, 1.0, np.array([0.0, 0.0, 25.0])))
    assert exit_surface(coarse_volume(volume, np.zeros(3), 29.0, 1.5), 6.0, 1) is None


def with_volumes(folder: Path) -> Path:
    """Make a folder with particles, and with volumes of A, B and both."""
    session(folder)
    for name in ("A_sirt", "B_registered", "fused"):
        ball(folder, 40, 1.5, np.zeros(3)).replace(folder / "processed" / f"{name}.mrc")
    return folder


@dataclass(frozen=True)
class View:
    """One view: the choices of a reader in their order, and a colour that must then be seen."""

    name: str
    choices: tuple[tuple[str, str], ...] = ()
    colour: tuple[float, float, float] | None = None


GREY, BLUE, PURPLE, YELLOW = (
    (0.7, 0.7, 0.7),
    (0.18, 0.45, 0.79),
    (0.28, 0.1, 0.38),
    (0.9, 0.85, 0.2),
)
EXIT = (0.85, 0.7, 0.55)
"""The exit surface on grey."""
VIEWS = [
    View("particles by series", (), GREY),
    View("particles by confidence", (("Colour by", "confidence"),), PURPLE),
    View("particles by structure", (("Colour by", "structure"),), BLUE),
    View("particles cut", (("Cut across", "x"), ("at", "0.5"))),
    View("particles of B", (("Show", "particles, B, in A’s frame"), ("at", "1")), YELLOW),
    View("isosurface of A", (("Show", "isosurface, A"),), EXIT),
    View("isosurface of B", (("Show", "isosurface, B, in A’s frame"),), EXIT),
    View("isosurface, fused", (("Show", "isosurface, fused"),), GREY),
    View("isosurface cut", (("at", "0.5"),)),
    View("isosurfaces side by side", (("Show", "isosurfaces side by side"), ("at", "1")), EXIT),
]
CHOOSE = """(() => {
  const label = [...document.querySelectorAll('#views label')]
    .find((element) => element.firstChild.textContent === %s);
  const input = label.lastChild;
  if (input.type === 'range') {
    input.value = %s;
    input.dispatchEvent(new Event('input'));
  } else {
    input.value = [...input.options].find((option) => option.textContent === %s).value;
    input.dispatchEvent(new Event('change'));
  }
})()"""
ENOUGH_S = 120.0
TRIES = 200
"""Largest number of screenshots until a drag has turned the pictures."""
DRAWN = "document.getElementById('views').dataset.state === 'drawn'"


@pytest.fixture(scope="module")
def chromium() -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `web`")
    if which("chromium") is None and which("google-chrome") is None:
        pytest.skip("needs Chromium")


def as_picture(shot: bytes) -> np.ndarray:
    """Return a screenshot as [y, x, rgb]."""
    return np.asarray(imread(io.BytesIO(shot))[..., :3])


@pytest.mark.usefixtures("chromium")
def test_a_browser_shows_each_view(tmp_path: Path) -> None:
    """The report comes from `dualtilt serve`, whose policy is stricter than that of a file."""
    from aiohttp.test_utils import TestServer

    from controller.ui.web.page_server import page_app
    from tests.web.browser import SOFTWARE_GRAPHICS, open_page

    write_report(with_volumes(tmp_path))

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
                    await page.evaluate(CHOOSE % (json.dumps(label), words, words))
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

    pictures = {
        name: as_picture(shot)[160:460, 200:600] for name, shot in asyncio.run(visit()).items()
    }
    for view in VIEWS:
        picture = pictures[view.name]
        assert picture.std() > 0.03, f"{view.name}: an empty stage"
        if view.colour is not None:
            near = np.abs(picture - np.array(view.colour)).max(axis=-1) < 0.15
            assert near.mean() > 0.003, f"{view.name}: its colour is missing"
    for one, other in pairwise(VIEWS):
        changed = np.abs(pictures[one.name] - pictures[other.name]).max(axis=-1)
        assert changed.mean() > 0.01, f"{other.name}: looks like {one.name}"


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
