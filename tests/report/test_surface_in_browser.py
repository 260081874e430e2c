"""Isosurface that the views compute: closed, at the level, facing outwards."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

PLANES, ROWS, COLUMNS = 20, 24, 28
MIDDLE = np.array([13.3, 11.6, 9.2])
"""Middle (x, y, z) of the ball, in samples."""
RADIUS, LEVEL = 7.0, 100


def ball() -> np.ndarray:
    """Return a field [z, y, x] that is LEVEL at the ball's surface and falls outwards."""
    z, y, x = np.indices((PLANES, ROWS, COLUMNS))
    distance = np.linalg.norm(np.stack([x, y, z], axis=-1) - MIDDLE, axis=-1)
    return np.clip(np.rint(LEVEL + 20 * (RADIUS - distance)), 0, 255).astype(np.uint8)


async def surface(profile: Path) -> dict[str, Any]:
    """Return what the views' script computes from the ball."""
    from tests.web.browser import open_page

    source = files("controller.report.views").joinpath("surface.js").read_text(encoding="utf-8")
    field = json.dumps(ball().ravel().tolist())
    call = f"isosurface({{data: {field}, shape: {[PLANES, ROWS, COLUMNS]}}}, {LEVEL})"
    as_lists = "{corners: [...found.vertices.data], triangles: [...found.indices.data]}"
    async with open_page("about:blank", profile, (200, 200)) as page:
        found = await page.evaluate(
            f"{source}\n(() => {{ const found = {call}; return {as_lists} }})()"
        )
    return dict(found)


def test_an_isosurface_is_closed_at_the_level_and_faces_outwards(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `web`")
    if which("chromium") is None and which("google-chrome") is None:
        pytest.skip("needs Chromium")
    found = asyncio.run(surface(tmp_path))
    triangles = np.array(found["triangles"]).reshape(-1, 3)
    unit = np.array(found["corners"]).reshape(-1, 3)
    from_middle = (unit + 0.5) * (np.array([COLUMNS, ROWS, PLANES]) - 1) - MIDDLE
    distance = np.linalg.norm(from_middle, axis=1)
    assert np.abs(distance - RADIUS).max() < 0.15
    edges = Counter(
        (int(one), int(other))
        for corners in triangles
        for one, other in zip(corners, np.roll(corners, -1), strict=True)
    )
    assert set(edges.values()) == {1}
    assert all((other, one) in edges for one, other in edges)
    first, second, third = from_middle[triangles].transpose(1, 0, 2)
    outwards = np.einsum(
        "ni,ni->n", np.cross(second - first, third - first), first + second + third
    )
    assert (outwards > 0).mean() > 0.99
    assert len(unit) == len(np.unique(triangles))
