"""Particles that the report's views show: their places, colours and words."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.report.field_of_view import read_centres
from controller.report.report_data import read_report_data
from controller.report.views import page_parts
from controller.report.views.assembly import read_assembly
from controller.report.views.library import compiled_once, k3d_source
from controller.report.views.scene import scene
from controller.report.write import write_report
from tests.report.particle_folders import HOSTILE, places, session, write_table


def unpacked(packed: Mapping[str, Any]) -> np.ndarray:
    code = zlib.decompress(base64.b64decode(packed["zlib"]))
    return np.frombuffer(code, packed["dtype"]).reshape(packed["shape"])


def fused(folder: Path) -> dict[str, Any]:
    data = read_report_data(folder)
    assembly = read_assembly(data)
    assert assembly is not None
    particles: dict[str, Any] = scene(data, assembly)["particles"]["fused"]
    return particles


def test_a_report_of_15_000_particles_is_a_file_of_15_mb_at_most(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra `web`")
    from tests.report.time_views import PARTICLES, make_folder

    make_folder(tmp_path, PARTICLES)
    assert len(unpacked(fused(tmp_path)["positions"])) == PARTICLES == 15_000
    assert write_report(tmp_path).stat().st_size <= 15e6


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


def test_a_table_that_an_editor_has_spoilt_is_named_where_its_view_is_missing(
    tmp_path: Path,
) -> None:
    write_table(tmp_path, "A", places(20))
    write_table(tmp_path, "fused", places(20), diameter_nm=["6,1"] + [6.0] * 19)
    counts = {"fused": {"n": 20, "n_low": 19, "n_high": 21}}
    (tmp_path / "processed" / "summary.json").write_text(json.dumps({"counts": counts}))
    page = write_report(tmp_path).read_text()
    assert "The views leave out <code>processed/particles_fused.csv</code>" in page
    write_table(tmp_path, "fused", places(20))
    assert "leave out" not in write_report(tmp_path).read_text()


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


@pytest.mark.parametrize("marks", [("false", "true"), ("FALSE", "TRUE")])
def test_particles_beside_the_object_are_shown_and_not_counted(
    marks: tuple[str, str], tmp_path: Path
) -> None:
    centres = np.concatenate([places(20), [[300.0, 0, 0]]])
    write_table(tmp_path, "fused", centres, beside=[marks[0]] * 20 + [marks[1]])
    (tmp_path / "processed" / "summary.json").write_text('{"counts": {"fused": {"n": 20}}}')
    particles = fused(tmp_path)
    assert (particles["counted"], particles["beside"]) == (20, 1)
    assembly = read_assembly(read_report_data(tmp_path))
    assert assembly is not None and assembly.reach_nm < 50
    assert len(read_centres(tmp_path, "processed/particles_fused.csv")) == 20


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


def test_the_browser_compiles_what_draws_as_it_reads_it() -> None:
    source = k3d_source()
    assert source is not None
    assert 'define("k3d",[],(()=>' in source and source.rstrip().endswith("));")


def test_a_source_of_another_form_stays_as_it_is() -> None:
    assert compiled_once("export default () => 1;\n") == "export default () => 1;\n"


def test_without_the_package_the_report_has_still_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_parts, "k3d_source", lambda: None)
    page = write_report(session(tmp_path)).read_text()
    assert "<script" not in page and "script-src 'none'" in page
    assert '<div class="stills"' in page
