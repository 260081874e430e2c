"""Views of the report in three dimensions: their data, and what a browser shows of them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.report.report_data import read_report_data
from controller.report.views import page_parts
from controller.report.views.scene import scene
from controller.report.write import write_report

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
    content = scene(read_report_data(folder))
    assert content is not None
    particles: dict[str, Any] = content["particles"]["fused"]
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
        assert scene(read_report_data(tmp_path)) is None
        return
    assert [found["name"] for found in fused(tmp_path)["colourings"]] == names


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


def test_without_the_package_the_report_has_no_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_parts, "k3d_source", lambda: None)
    page = write_report(session(tmp_path)).read_text()
    assert "<script" not in page and "script-src 'none'" in page


def test_a_browser_shows_the_views(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `web`")
    from matplotlib.image import imread

    from tests.web.browser import CHROMIUM, SOFTWARE_GRAPHICS, open_page

    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    page_url = write_report(session(tmp_path)).as_uri()

    async def visit() -> dict[str, bytes]:
        shots = {}
        async with open_page(page_url, tmp_path / "profile", (900, 700), SOFTWARE_GRAPHICS) as page:
            await page.until("document.getElementById('views').dataset.state === 'drawn'")
            await page.evaluate("document.getElementById('views').scrollIntoView()")
            for name in ("series that show it", "confidence", "structure"):
                await page.evaluate(CHOOSE % ("Colour by", name))
                await page.until(SETTLED)
                shots[name] = await page.screenshot()
            legend = await page.evaluate("document.querySelector('#views .legend').textContent")
            assert HOSTILE in legend
            assert not await page.evaluate("window.broken")
        return shots

    shots = asyncio.run(visit())
    pictures = []
    for name, shot in shots.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(shot)
        pictures.append(imread(path)[100:500, 200:700, :3])
    for picture in pictures:
        assert picture.std() > 0.05  # not an empty stage
    for one, other in pairwise(pictures):
        assert np.abs(one - other).max(axis=-1).mean() > 0.02


CHOOSE = """(() => {
  const label = [...document.querySelectorAll('#views label')]
    .find((element) => element.firstChild.textContent === %r);
  const select = label.querySelector('select');
  select.value = [...select.options].find((option) => option.textContent === %r).value;
  select.dispatchEvent(new Event('change'));
})()"""
SETTLED = "document.getElementById('views').dataset.state === 'drawn'"
