"""EMPIAR: the raw series are there unchanged and described; what is missing is listed."""

from __future__ import annotations

import json
from pathlib import Path

import mdocfile
import mrcfile
import numpy as np
import pytest

from controller.app.cli.export import read_about
from processing import Summary, write_images
from processing.errors import InputFileError
from processing.export.checklist import missing
from processing.export.export import export
from processing.export.finished import Finished, read_finished
from processing.export.targets import ExportTarget
from processing.files.examine import ReadingOptions, examine_series
from processing.files.mdoc import MdocHeader, MdocSection, write_mdoc
from processing.files.rawtlt import write_rawtlt
from processing.results import SeriesSummary
from tests.support.finished_session import PIXEL_NM, make_finished

ANGLES = np.array([-20.0, 0.0, 20.0])
TARGETS = [ExportTarget.EMPIAR]
ABOUT = """
title = "Spheres of gold"
authors = ["Doe, J."]
publication = "none"
release = "now"
sample = "spheres"
microscope = "Titan"
is_simulation = false
[corresponding_author]
first_name = "Jane"
last_name = "Doe"
organization = "Institute"
town_or_city = "Town"
post_or_zip = "12345"
country = "DE"
email = "doe@institute.example"
[principal_investigator]
first_name = "Jim"
last_name = "Roe"
organization = "Institute"
town_or_city = "Town"
post_or_zip = "12345"
country = "DE"
email = "roe@institute.example"
"""


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Finished session with the raw series A and B."""
    folder = make_finished(tmp_path / "session")
    for number, name in enumerate("AB"):
        write_raw(folder, name, number)
    path = folder / "processed/summary.json"
    summary = Summary.model_validate_json(path.read_text())
    series = {name: series_summary(folder / f"{name}.mrc") for name in "AB"}
    path.write_text(summary.model_copy(update={"series": series}).model_dump_json())
    return folder


def write_raw(folder: Path, name: str, seed: int) -> None:
    images = np.random.default_rng(seed).integers(0, 1000, (3, 18, 20)).astype(np.uint16)
    write_images(folder / f"{name}.mrc", images, PIXEL_NM)
    sections = [
        MdocSection(section, float(angle), dose_e_per_A2=15.0)
        for section, angle in enumerate(ANGLES)
    ]
    write_mdoc(folder / f"{name}.mrc.mdoc", MdocHeader(f"{name}.mrc", (20, 18), PIXEL_NM), sections)
    write_rawtlt(folder / f"{name}.rawtlt", ANGLES)


def series_summary(path: Path) -> SeriesSummary:
    inputs = examine_series(path, ReadingOptions()).inputs
    return SeriesSummary(tilts=3, excluded=[], align_rms_px=0.1, tilt_axis_deg=0.0, inputs=inputs)


def finished_with(session: Path, about: str) -> Finished:
    (session / "about.toml").write_text(about)
    return read_finished(session, read_about(session / "about.toml"))


def test_raw_series_are_copied_and_described(session: Path) -> None:
    finished = finished_with(session, ABOUT)
    assert missing(finished, TARGETS) == []
    (folder,) = export(finished, TARGETS, session / "export")
    form = json.loads((folder / "deposition.json").read_text())
    assert form["corresponding_author"]["last_name"] == "Doe"
    assert [person["last_name"] for person in form["principal_investigator"]] == ["Roe"]
    assert form["authors"] == [{"name": "Doe, J.", "order_id": 0}]
    assert [one["directory"] for one in form["imagesets"]] == ["data/A", "data/B"]
    for name, one in zip("AB", form["imagesets"], strict=True):
        series = folder / one["directory"]
        for file in (f"{name}.mrc", f"{name}.mrc.mdoc", f"{name}.rawtlt"):
            assert (series / file).read_bytes() == (session / file).read_bytes()
        with mrcfile.open(series / f"{name}.mrc") as stack:
            assert stack.data.shape == (
                one["frames_per_image"],
                one["image_height"],
                one["image_width"],
            )
            assert stack.voxel_size.x == pytest.approx(one["pixel_width"])
        assert one["voxel_type"] == "UNSIGNED 16 BIT INTEGER"
        angles = mdocfile.read(series / f"{name}.mrc.mdoc")["TiltAngle"]
        assert angles.tolist() == ANGLES.tolist()
        assert "from -20.0 to +20.0 degrees; total dose 45 electrons" in one["details"]


def test_lists_what_is_missing(session: Path) -> None:
    (session / "B.mrc.mdoc").unlink()
    (session / "A.rawtlt").unlink()
    (session / "protocol.toml").write_text('specimen = "gold"\n[column]\nkind = "simulator"\n')
    finished = finished_with(session, 'title = "Spheres of gold"')
    assert missing(finished, TARGETS) == [
        "empiar asks for authors, corresponding_author, principal_investigator, publication, "
        "release, microscope; give them with --about FILE",
        f"series B: no mdoc beside {session / 'B.mrc'}",
        f"series A: no file of tilt angles (.rawtlt, .tlt) beside {session / 'A.mrc'}",
        "recorded series: these are simulated",
    ]
    (folder,) = export(finished, TARGETS, session / "export")
    assert json.loads((folder / "deposition.json").read_text())["authors"] == []
    assert "Simulated HAADF-STEM" in (folder / "README.txt").read_text()


def test_finds_the_series_of_a_folder_that_was_moved(session: Path) -> None:
    moved = session.rename(session.with_name("moved"))
    (folder,) = export(read_finished(moved), TARGETS, moved / "export")
    assert (folder / "data/A/A.mrc").read_bytes() == (moved / "A.mrc").read_bytes()


def test_names_a_series_that_is_not_there(session: Path) -> None:
    (session / "B.mrc").unlink()
    with pytest.raises(InputFileError, match=r"B\.mrc: no such file; put series B back"):
        export(read_finished(session), TARGETS, session / "export")
    assert not (session / "export").exists()
