"""NeXus: other programs find volume and particles; NXem's facts are there or named as missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from nexusformat.nexus import NXentry, NXimage, nxload

from controller.app.cli.export import read_about
from controller.common.errors import UsageError
from processing.export.checklist import missing
from processing.export.export import export
from processing.export.finished import read_finished
from processing.export.targets import ExportTarget
from tests.support.finished_session import PIXEL_NM, SHAPE, VOXELS, make_finished, volume

PYNX = os.environ.get("PYNX")
"""Command `pynx` of an environment with pynxtools, which checks files against NXem."""
ABOUT = """
title = "Spheres"
atom_types = ["Au"]
sample = "spheres of gold"
preparation_date = 2026-11-20T10:00:00+01:00
start_time = 2026-11-21T10:00:00+01:00
is_simulation = true
"""
NEXUS = [ExportTarget.NEXUS]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported file with all facts."""
    session = make_finished(tmp_path_factory.mktemp("session"))
    (session / "about.toml").write_text(ABOUT)
    finished = read_finished(session, read_about(session / "about.toml"))
    assert missing(finished, NEXUS) == []
    return export(finished, NEXUS, session / "export")[0]


def test_nexusformat_reads_volume_and_particles(file: Path) -> None:
    root = nxload(file)
    entry = root["entry"]
    assert isinstance(entry, NXentry)
    assert str(entry["definition"]) == "NXem"
    assert isinstance(entry["roi1/img/image1"], NXimage)
    shown = root.plottable_data  # the chain of defaults leads to the volume
    np.testing.assert_array_equal(shown.nxsignal.nxdata, volume())
    axes = [axis.nxdata for axis in shown.nxaxes]
    assert [axis.attrs["units"] for axis in shown.nxaxes] == ["nm", "nm", "nm"]
    for at, size in zip(axes, SHAPE, strict=True):
        np.testing.assert_allclose(at, PIXEL_NM * (np.arange(size) - (size - 1) / 2))
    places = np.stack([entry[f"particles/{name}"].nxdata for name in "xyz"], axis=1)
    found = [
        [int(abs(at - place).argmin()) for at, place in zip(axes[::-1], one, strict=True)]
        for one in places
    ]
    assert found == [list(voxel) for voxel in VOXELS]
    assert entry["dualtilt/particles"].nxdata == 2


@pytest.mark.skipif(PYNX is None, reason="PYNX names no command of pynxtools")
def test_pynxtools_finds_it_valid(file: Path) -> None:
    done = subprocess.run([str(PYNX), "validate", str(file)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "is valid according to the `NXem` application definition" in " ".join(said.split())


def test_names_the_facts_that_nobody_gave(tmp_path: Path) -> None:
    session = make_finished(tmp_path / "session")
    (session / "protocol.toml").write_text('specimen = "gold"\n[column]\nkind = "simulator"\n')
    (session / "journal.jsonl").write_text('{"at": "2026-11-27T02:38:41.526+00:00", "seq": 0}\n')
    finished = read_finished(session)
    assert missing(finished, NEXUS) == [
        "nexus asks for atom_types, preparation_date; give them with --about FILE"
    ]
    entry = nxload(export(finished, NEXUS, session / "export")[0])["entry"]
    assert str(entry["sample/name"]) == "gold"
    assert bool(entry["sample/is_simulation"].nxdata)
    assert str(entry["start_time"]) == "2026-11-27T02:38:41.526000+00:00"
    assert "atom_types" not in entry["sample"]


def test_the_example_of_the_documents_is_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/export.md"
    example = page.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "about.toml").write_text(example)
    about = read_about(tmp_path / "about.toml")
    assert about.atom_types == ["Au", "C"]
    assert about.corresponding_author is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel = 1", "titel: no such setting; did you mean title"),
        ("title = ", "cannot be read as TOML"),
        ("title = Gold", 'write text in quotation marks: "text"'),
        ("title = 5", "title: must be a valid string"),
        ("preparation_date = 2026-11-20T10:00:00", "timezone"),
    ],
)
def test_refuses_wrong_facts_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "about.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as refused:
        read_about(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
