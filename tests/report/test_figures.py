"""Figures of the report as files, and the page for the lab book."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from controller.app.cli import report as verb
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.events import Counted
from controller.report import figures
from controller.report.figures import figure_files
from controller.report.report_data import read_report_data
from controller.report.views import isosurface_stills
from tests.report.particle_folders import session, with_volumes
from tests.report.result_folders import FSC, G_R, LAYERS, PARTS, folder_with, resolution_json
from tests.report.session_events import STARTED, recorded, write_events

ALL = {
    *(
        f"{name}.{form}"
        for name in ("particles", "isosurfaces", "slices", "tilts")
        for form in ("png", "svg")
    ),
    "lab-book.pdf",
}


@pytest.fixture(autouse=True)
def coarse_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pixels cost less time."""
    monkeypatch.setattr(figures, "DPI", 50)
    monkeypatch.setattr(isosurface_stills, "SIDE_PX", 120)


def write(folder: Path) -> int:
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    return verb.run(parser.parse_args([str(folder), "--figures"]))


def test_each_figure_is_a_png_and_an_svg(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_events(with_volumes(tmp_path), [*STARTED, *recorded("A")[:24]])
    assert write(tmp_path) == ExitCode.OK
    into = tmp_path / "figures"
    assert {path.name for path in into.iterdir()} == ALL
    assert {Path(line).name for line in capsys.readouterr().out.split()} == {"report.html", *ALL}
    for path in into.glob("*.png"):
        assert imread(path)[..., :3].std() > 0.05, path.name
    for path in into.glob("*.svg"):
        assert path.read_text().startswith("<?xml")
    page = (into / "lab-book.pdf").read_bytes()
    assert (
        page.startswith(b"%PDF") and page.count(b"/Type /Page\n") + page.count(b"/Type /Page ") == 1
    )


def test_counts_structure_and_resolution_have_figures(tmp_path: Path) -> None:
    counts = [
        Counted(which="A", tilts_used=n, n=100, n_low=95, n_high=105, live=True) for n in (5, 6, 7)
    ]
    write_events(tmp_path, [*STARTED, *counts])
    structure = json.dumps({"counts": {}, "structure": {"layers": LAYERS}})
    files = {"summary__json": structure, "structure_g_r__csv": G_R}
    folder_with(tmp_path, **files, resolution__json=resolution_json(PARTS), resolution__csv=FSC)
    written = figure_files(read_report_data(tmp_path))
    names = ("counts", "correlations", "layers", "resolution")
    assert set(written) == {
        *(f"{name}.{form}" for name in names for form in ("png", "svg")),
        "lab-book.pdf",
    }
    assert b"particles counted" in written["counts.svg"]
    assert b"Fourier shell correlation" in written["resolution.svg"]


def test_the_page_without_recorded_tilts_shows_the_isosurfaces(tmp_path: Path) -> None:
    def pictures() -> int:
        page = figure_files(read_report_data(tmp_path))["lab-book.pdf"]
        return page.count(b"/Subtype /Image")

    with_volumes(tmp_path)
    without_tilts = pictures()
    write_events(tmp_path, [*STARTED, *recorded("A")[:24]])
    assert without_tilts > pictures() > 0


def test_data_that_are_missing_have_no_figure(tmp_path: Path) -> None:
    files = figure_files(read_report_data(session(tmp_path)))
    assert set(files) == {"particles.png", "particles.svg", "lab-book.pdf"}
    picture = imread(io.BytesIO(files["particles.png"]))
    blue = np.abs(picture[..., :3] - np.array([0.18, 0.45, 0.79])).max(axis=-1) < 0.1
    assert blue.any()  # particles of A alone
    assert b"only A and B together" in files["particles.svg"]


@pytest.mark.parametrize("name", ["$\\frac{$", "<b>&</b>", "Näme \N{GREEK SMALL LETTER ALPHA}"])
def test_any_name_can_stand_on_the_page(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name.replace("/", "-")
    folder.mkdir()
    (folder / "processed").mkdir()
    (folder / "processed" / "summary.json").write_text(
        json.dumps({"counts": {}, "warnings": [name]})
    )
    assert figure_files(read_report_data(folder))["lab-book.pdf"].startswith(b"%PDF")


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder = tmp_path / "session"
    folder.mkdir()
    session(folder)
    (folder / "figures").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="figures: "):
        write(folder)
    assert not list(elsewhere.iterdir())
