"""`dualtilt inspect SESSION`: alignment, counts and pictures of a session, which stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.app.cli import inspect, inspect_session, terminal_pictures
from controller.app.cli.inspect_session import series_lines
from controller.app.cli.main import main
from controller.app.inspected_results import SeriesOutcome
from controller.common.exit_codes import ExitCode
from processing.results import Trust, Verdict
from tests.support.finished_session import make_finished, summary
from tests.support.inspected_session import SERIES, keep_series, keep_summary, make_inspected


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return make_inspected(tmp_path / "session")


def without_results(folder: Path) -> None:
    (folder / "processed/summary.json").unlink()


def unfinished(folder: Path) -> None:
    keep_series(folder)
    without_results(folder)


def of_an_earlier_version(folder: Path) -> None:
    keep_summary(folder, SERIES.model_copy(update={"images": []}))


def with_misfits(folder: Path) -> None:
    images = [
        image.model_copy(update={"residual_px": {2: 1.2, 6: 4.0}.get(section, image.residual_px)})
        for section, image in enumerate(SERIES.images)
    ]
    keep_summary(folder, SERIES.model_copy(update={"images": images}))


def doubtful(folder: Path) -> None:
    verdict = Verdict(state=Trust.DOUBTFUL, reasons=("too few images",))
    (folder / "processed/summary.json").write_text(summary(verdict).model_dump_json())
    keep_summary(folder, SERIES)


def refused(folder: Path) -> None:
    verdict = Verdict(state=Trust.REFUSED, reasons=("too few images",))
    (folder / "processed/summary.json").write_text(summary(verdict).model_dump_json())
    keep_summary(folder, SERIES)


def made_again(folder: Path) -> None:
    make_finished(folder / "processed-2")


SHOWN: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "finished": (
        lambda folder: None,
        (
            "pictures, in a browser: dualtilt inspect",
            "7 of 16 x 16 pixels",
            "images      5 of 7 used",
            "left out    A#2: as marked",
            "left out    A#5: it does not fit the other images",
            "shifts      largest 30.00 px (A#7), rms 19.24 px",
            "residuals   rms 0.041 px; largest A#7 0.060, A#6 0.050, A#4 0.040, A#3 0.030, "
            "A#1 0.010 px",
            "count       2, 1 to 3",
            "verdict     trusted",
            "trusted: the particles found explain the images",
            "no tilt fits badly",
            "--drop A:N",
        ),
    ),
    "misfits in use": (
        with_misfits,
        ("fit badly, by more than 1 px: A#7, A#3\n", "--drop A:7,3\n"),
    ),
    "earlier version": (
        of_an_earlier_version,
        ("5 of 7 used", "A#2, A#5: for the reason in the warnings", "not stored", "--drop A:N"),
    ),
    "unfinished": (unfinished, ("A#7 0.060", "count       2, 1 to 3", "has not ended")),
    "no results": (without_results, ("7 of 16 x 16 pixels", "no results yet; make them with")),
    "doubtful": (
        doubtful,
        ("count       2, doubtful: the true number may lie outside 1 to 3\n", "too few images"),
    ),
    "refused": (refused, ("count       2, none, the count is refused\n", "too few images")),
    "made again": (made_again, ("results made again: dualtilt inspect", "processed-2")),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_session_is_shown(case: str, session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, lines = SHOWN[case]
    change(session)
    before = content(session)
    assert main(["inspect", str(session)]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert [line for line in lines if line not in shown] == []
    assert f"dualtilt process {session}" in shown
    assert content(session) == before


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Pictures drawn on a terminal that draws pixels."""
    pictures: list[bytes] = []
    for module in (inspect, inspect_session):
        monkeypatch.setattr(module, "draws_pixels", lambda: True)
    monkeypatch.setattr(terminal_pictures, "print_picture", pictures.append)
    return pictures


def test_images_of_plain_files_are_drawn_where_the_terminal_draws_pixels(
    session: Path, drawn: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(session / "A.mrc")]) == ExitCode.OK
    assert "A-images" in capsys.readouterr().out.splitlines()
    assert len(drawn) == 1 and drawn[0].startswith(b"\x89PNG")


def test_pictures_are_drawn_where_the_terminal_draws_pixels(
    session: Path, drawn: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    keep_series(session)
    assert main(["inspect", str(session)]) == ExitCode.OK
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("A-")] == [
        "A-images",
        "A-sinogram",
        "A-alignment",
        "A-residuals",
    ]
    assert len(drawn) == 5 and all(picture.startswith(b"\x89PNG") for picture in drawn)


def test_the_subfolder_of_results_shows_its_session(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(session / "processed")]) == ExitCode.OK
    assert "5 of 7 used" in capsys.readouterr().out


def test_frames_of_a_repeated_tilt_are_told_apart() -> None:
    names = ["A#1", "A#2", "A#2", "A#3", "A#4", "A#5", "A#6"]
    lines = series_lines("A", SeriesOutcome(SERIES, None), names)
    assert "left out    A#2 (section 1): as marked" in lines
    assert "left out    A#4: it does not fit the other images" in lines


def test_results_alone_are_shown(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in ("A.mrc", "A.rawtlt"):
        (session / file).unlink()
    assert main(["inspect", str(session)]) == ExitCode.OK
    shown = capsys.readouterr().out
    assert "5 of 7 used" in shown
    assert "--out NEW --drop A:N" in shown


def test_pictures_are_written_elsewhere(session: Path, tmp_path: Path) -> None:
    keep_series(session)
    before = content(session)
    assert main(["inspect", str(session), "--pictures", str(tmp_path / "out")]) == ExitCode.OK
    written = {path.name: path.read_bytes()[:4] for path in (tmp_path / "out").iterdir()}
    names = ("A-images", "A-sinogram", "A-alignment", "A-residuals", "slices")
    assert written == {f"{name}.png": b"\x89PNG" for name in names}
    assert content(session) == before


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("A.mrc",), ["A-images.png"]),
        (("A.mrc", "no-angles.mrc"), ["1-A-images.png", "2-no-angles-images.png"]),
        (("damaged.mrc",), []),
    ],
    ids=["one series", "two, one without angles", "a damaged one"],
)
def test_pictures_of_plain_files(
    files: tuple[str, ...], names: list[str], session: Path, tmp_path: Path
) -> None:
    (session / "no-angles.mrc").write_bytes((session / "A.mrc").read_bytes())
    (session / "damaged.mrc").write_bytes((session / "A.mrc").read_bytes()[:99])
    paths = [str(session / file) for file in files]
    code = main(["inspect", *paths, "--pictures", str(tmp_path / "out")])
    assert code == (ExitCode.OK if files == ("A.mrc",) else ExitCode.USAGE)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names


def damaged(folder: Path) -> None:
    (folder / "processed/summary.json").write_text("{")


def linked(inside: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / inside).rename(outside)
        (folder / inside).symlink_to(outside)

    return replace


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "damaged": (damaged, "damaged; process the series again"),
    "linked stack": (linked("A.mrc"), "A.mrc: is a link"),
    "linked results": (linked("processed"), "processed: is a link"),
    "linked summary": (linked("processed/summary.json"), "summary.json: is a link"),
    "pictures inside": (lambda folder: None, "where nothing is written"),
    "no folder": (lambda folder: folder.rename(folder.parent / "moved"), "cannot be processed"),
}


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need rights on Windows")
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_folder_gets_one_line(
    case: str, session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, message = REFUSED[case]
    change(session)
    before = content(session)
    pictures = ["--pictures", str(session / "pictures")] if case == "pictures inside" else []
    assert main(["inspect", str(session), *pictures]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert content(session) == before


def content(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of each file and folder."""
    return {
        path: (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
        if os.path.lexists(path)
    }
