"""`dualtilt process`: its output and files, and one line for every bad input."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli import inspect, process
from controller.app.cli.block_picture import block_picture, shades_for
from controller.app.cli.main import build_parser
from controller.app.cli.output_folder import removed_if_empty
from controller.common.errors import (
    DualtiltError,
    ProcessingFailedError,
    SafetyStopError,
    UsageError,
)
from controller.common.exit_codes import ExitCode
from processing import Summary, write_images
from processing.batch.results_lock import only_writer
from processing.errors import ResultsInUseError
from processing.files.rawtlt import write_rawtlt
from processing.results import LeftOut
from tests.support.documented_files import undocumented
from tests.support.spheres import jittered, packed, tilt_series

ANGLES = np.arange(-70.0, 75.0, 5.0)


def write(folder: Path, name: str, points: np.ndarray) -> Path:
    taken = jittered(len(ANGLES), jitter_px=0.5, angle_error_deg=0.05, counts=500, seed=1)
    series = tilt_series(points, ANGLES, 7.0, 56, taken)
    write_images(folder / f"{name}.mrc", series.images, 0.9)
    write_rawtlt(folder / f"{name}.rawtlt", ANGLES)
    return folder / f"{name}.mrc"


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    points = packed(18, 8.6, order="fcc", seed=3) + np.array([1.0, -0.8, 0.5])
    points = points + np.random.default_rng(3).normal(0, 0.2, points.shape)
    return points[points[:, 2] < 13]


@pytest.fixture(scope="module")
def stacks(points: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A, a correct B, a B with mirrored scan, and another object."""
    folder = tmp_path_factory.mktemp("stacks")
    write(folder, "A", points)
    write(folder, "B", points * [1, -1, -1])
    write(folder, "mirrored", points * [-1, -1, -1])
    write(folder, "other", packed(18, 8.6, order="disordered", seed=8))
    return folder


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    process.add_arguments(parser)
    return process.run(parser.parse_args([str(argument) for argument in arguments]))


def test_one_series(
    stacks: Path, tmp_path: Path, points: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(stacks / "A.mrc", "--out", tmp_path, "--diameter-nm", 6.3) == ExitCode.OK
    printed = capsys.readouterr()
    summary = Summary.model_validate_json((tmp_path / "processed/summary.json").read_text())
    assert summary.counts.A.n == pytest.approx(len(points), rel=0.03)
    assert summary.counts.fused is None
    assert str(tmp_path / "processed" / "particles_A.csv") in printed.out
    assert "record B" in printed.out
    assert "0.9 nm (the header of A.mrc)" in printed.out
    inputs = summary.series["A"].inputs
    assert inputs is not None
    assert (inputs.images, inputs.angles_source) == (len(ANGLES), "A.rawtlt")
    assert "the header of A.mrc" in (tmp_path / "report.html").read_text()
    assert "iterative reconstruction (SIRT)" in printed.err
    assert printed.err.count("reconstruction from equal spheres (SSR)") == 1


def test_a_folder_of_series_is_processed_again_without_some_tilts(
    stacks: Path, tmp_path: Path, points: np.ndarray
) -> None:
    for name in ("A.mrc", "A.rawtlt"):
        (tmp_path / name).write_bytes((stacks / name).read_bytes())
    (tmp_path / "protocol.toml").write_text(
        'name = "small"\n[scan]\nwidth_px = 56\nheight_px = 56\npixel_nm = 0.9\ndwell_us = 5.0\n'
        "[processing]\ndiameter_nm = 6.3\nsirt_iterations = 18\n"
    )
    (tmp_path / "processed-2").mkdir()
    assert run(tmp_path, "--drop", "A:3,4") == ExitCode.OK
    again = tmp_path / "processed-3"
    summary = Summary.model_validate_json((again / "processed/summary.json").read_text())
    assert summary.series["A"].excluded == [2, 3]
    left_out = [image.left_out for image in summary.series["A"].images]
    named = [line for line in summary.warnings if "as marked" in line]
    assert named == [f"A#{n} at {ANGLES[n - 1]:+.1f} degrees left out, as marked" for n in (3, 4)]
    assert left_out == [LeftOut.MARKED if n in (2, 3) else None for n in range(len(ANGLES))]
    assert summary.counts.A.n == pytest.approx(len(points), rel=0.03)
    assert '"diameter_nm": 6.3' in (again / "processed/A.json").read_text()
    assert '"sirt_iterations": 18' in (again / "processed/A.json").read_text()


def test_two_series(
    stacks: Path, tmp_path: Path, points: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(stacks / "A.mrc", stacks / "B.mrc", "--out", tmp_path, "--controls")
    assert code == ExitCode.OK
    summary = Summary.model_validate_json((tmp_path / "processed/summary.json").read_text())
    assert summary.counts.fused is not None
    assert summary.counts.fused.n == pytest.approx(len(points), rel=0.02)
    out = capsys.readouterr().out
    assert all(line in out for line in ("fused", "turned by", "summary.json", "particles_mean.csv"))
    assert "record B" not in out
    assert undocumented(tmp_path) == []


@dataclass(frozen=True)
class Bad:
    id: str
    arguments: Callable[[Path, Path], list[object]]
    error: type[DualtiltError]
    message: str


def damaged(stacks: Path, scratch: Path, how: str) -> Path:
    """A copy of A with one fault."""
    stack = scratch / "bad.mrc"
    whole = (stacks / "A.mrc").read_bytes()
    stack.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole)
    if how == "emptied":
        stack.write_bytes(b"")
    if how == "few bytes":
        stack.write_bytes(whole[:99])
    if how == "mdoc":
        stack.write_text("PixelSpacing = 9.0\nImageFile = A.mrc\n" * 60)
    if how == "text":
        stack.write_text("angles in degrees, one a line\n" * 60)
    if how == "few angles":
        write_rawtlt(scratch / "bad.rawtlt", ANGLES[:-3])
    elif how != "no angles":
        write_rawtlt(scratch / "bad.rawtlt", ANGLES)
    return stack


def linked(stacks: Path, scratch: Path) -> Path:
    (scratch / "B.mrc").symlink_to(stacks / "A.mrc")
    return scratch / "B.mrc"


def with_diameter(diameter_nm: float) -> Callable[[Path, Path], list[object]]:
    """A given diameter, in a field of 56 pixels of 0.9 nm."""
    return lambda s, t: [s / "A.mrc", "--diameter-nm", diameter_nm]


def small(stacks: Path, scratch: Path, shape: tuple[int, int, int]) -> Path:
    """A stack without particles, of another number and size of images."""
    write_images(scratch / "small.mrc", np.zeros(shape, np.float32), 0.9)
    write_rawtlt(scratch / "small.rawtlt", ANGLES[: shape[0]])
    return scratch / "small.mrc"


CASES = [
    Bad("one image", lambda s, t: [small(s, t, (1, 40, 40))], UsageError, "holds one image"),
    Bad("two images", lambda s, t: [small(s, t, (2, 40, 40))], UsageError, "holds 2 images"),
    Bad("one row", lambda s, t: [small(s, t, (9, 1, 40))], UsageError, "40 x 1 pixels"),
    Bad("fifteen columns", lambda s, t: [small(s, t, (9, 40, 15))], UsageError, "15 x 40 pixels"),
    Bad("no such file", lambda s, t: [s / "none.mrc"], UsageError, "no such file"),
    Bad("a folder without series", lambda s, t: [s.parent], UsageError, "folder"),
    Bad("cut short", lambda s, t: [damaged(s, t, "cut")], UsageError, "cut off: .*copy it again"),
    Bad("a text file", lambda s, t: [damaged(s, t, "text")], UsageError, "no MRC file"),
    Bad(
        "no angles",
        lambda s, t: [damaged(s, t, "no angles")],
        UsageError,
        "no tilt angles.*--angles",
    ),
    Bad("few angles", lambda s, t: [damaged(s, t, "few angles")], UsageError, "26 tilt angles"),
    Bad(
        "one region for two series",
        lambda s, t: [s / "A.mrc", s / "B.mrc", "--region", 28, 28, 20],
        UsageError,
        "--region: number of regions 1, number of series 2",
    ),
    *(
        Bad(
            f"a region {where}",
            lambda s, t, region=region: [s / "A.mrc", "--region", *region],
            UsageError,
            "is not in series A, whose images have 56 x 56 pixels",
        )
        for where, region in {
            "right of the images": (56, 20, 9),
            "above them": (20, -1, 9),
            "of no size": (20, 20, 0),
            "of no number": (20, "nan", 9),
        }.items()
    ),
    Bad("no bytes", lambda s, t: [damaged(s, t, "emptied")], UsageError, "bad.mrc: is empty"),
    Bad("a few bytes", lambda s, t: [damaged(s, t, "few bytes")], UsageError, "has 99 bytes"),
    Bad("an mdoc", lambda s, t: [damaged(s, t, "mdoc")], UsageError, "it is text, like an .mdoc"),
    Bad(
        "all tilts dropped",
        lambda s, t: [s / "A.mrc", "--drop", f"A:{','.join(map(str, range(1, 30)))}"],
        UsageError,
        "leaves 0 of 29 images in use; at least 3",
    ),
    Bad(
        "nothing in the region",
        lambda s, t: [s / "A.mrc", "--region", 2, 2, 2],
        ProcessingFailedError,
        "no object in the region",
    ),
    Bad(
        "one angle file for two series",
        lambda s, t: [s / "A.mrc", s / "B.mrc", "--angles", s / "A.rawtlt"],
        UsageError,
        "give one file for each",
    ),
    Bad("A again", lambda s, t: [s / "A.mrc", s / "A.mrc"], UsageError, "same file"),
    Bad("A by another name", lambda s, t: [s / "A.mrc", linked(s, t)], UsageError, "same file"),
    Bad("diameter of the field", with_diameter(30.0), UsageError, "1.8 to 25.2 nm"),
    Bad("diameter under two pixels", with_diameter(1.7), UsageError, "1.8 to 25.2 nm"),
    Bad("large bin", lambda s, t: [s / "A.mrc", "--bin", 30], UsageError, "choose a smaller one"),
    Bad(
        "crop beyond the images",
        lambda s, t: [s / "A.mrc", "--crop", 0, 0, 500, 500],
        UsageError,
        "does not fit images of 56 x 56 px",
    ),
    Bad("mirrored", lambda s, t: [s / "A.mrc", s / "mirrored.mrc"], SafetyStopError, "mirrored"),
    Bad("another", lambda s, t: [s / "A.mrc", s / "other.mrc"], SafetyStopError, "another object"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_bad_input_gets_one_line_and_leaves_no_result(
    case: Bad, stacks: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(case.error, match=case.message) as refused:
        run(*case.arguments(stacks, tmp_path), "--out", out)
    assert "\n" not in str(refused.value)
    assert not (out / "processed" / "summary.json").exists()
    assert not list(out.rglob("*.partial"))
    if case.error is UsageError:
        assert not out.exists(), "the folder was made before the input was refused"


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        (("A.json", "A_sirt.mrc", "fused.mrc", "summary.json"), "holds results .* and 1 more"),
        (("A_aligned.mrc",), r"incomplete run \(A_aligned\.mrc\)"),
    ],
    ids=["results", "an incomplete run"],
)
def test_files_of_an_earlier_run_are_never_overwritten(
    existing: tuple[str, ...], message: str, stacks: Path, tmp_path: Path
) -> None:
    processed = tmp_path / "processed"
    processed.mkdir()
    for name in existing:
        (processed / name).write_text("hours of work")
    with pytest.raises(UsageError, match=f"{message}.*choose a new") as refused:
        run(stacks / "A.mrc", "--out", tmp_path, "--diameter-nm", 6.3)
    assert "\n" not in str(refused.value)
    left = {path.name: path.read_text() for path in processed.iterdir()}
    assert left == dict.fromkeys(existing, "hours of work")
    assert [path.name for path in tmp_path.iterdir()] == ["processed"]


def test_no_results_are_written_among_those_of_a_session(stacks: Path, tmp_path: Path) -> None:
    processed = tmp_path / "processed"
    processed.mkdir()
    (processed / "summary.json").write_text("hours of work")
    with pytest.raises(UsageError, match="the subfolder of other results; choose a new"):
        run(stacks / "A.mrc", "--out", processed, "--diameter-nm", 6.3)
    assert [path.name for path in processed.iterdir()] == ["summary.json"]


def test_empty_images_are_a_processing_failure(tmp_path: Path) -> None:
    write_images(tmp_path / "A.mrc", np.zeros((len(ANGLES), 40, 40), np.float32), 0.9)
    write_rawtlt(tmp_path / "A.rawtlt", ANGLES)
    with pytest.raises(ProcessingFailedError, match="series A"):
        run(tmp_path / "A.mrc", "--out", tmp_path / "out")


@pytest.mark.parametrize("verb", ["inspect", "process --dry-run"])
def test_what_was_understood_is_shown_with_a_picture(
    verb: str, stacks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = small(stacks, tmp_path, (2, 40, 40))
    with pytest.raises(UsageError, match=r"small.mrc: cannot be processed"):
        main_parsed(*verb.split(), stacks / "A.mrc", bad)
    shown = capsys.readouterr().out
    assert "29 of 56 x 56 pixels, float32, MRC mode 2" in shown
    assert "0.9 nm (the header of A.mrc); field 50.4 x 50.4 nm" in shown
    assert "-70.00 to +70.00 degrees by 5, ascending (A.rawtlt)" in shown
    assert "holds 2 images" in shown
    assert "+0.00 degrees" not in shown.split("small.mrc")[1]
    picture = shown.split("section 14, at +0.00 degrees:")[1].split("small.mrc")[0]
    rows = [row[2:] for row in picture.splitlines() if set(row) <= set(" ░▒▓█") and row.strip()]
    assert 15 <= len(rows) <= 28  # the assembly fills half of the field
    assert "█" in picture
    assert len({len(row.lstrip()) for row in rows}) > 5  # round


@pytest.mark.parametrize(
    ("encoding", "brightest"), [("utf-8", "█"), ("cp437", "█"), ("cp1252", "#"), (None, "#")]
)
def test_the_picture_uses_characters_that_the_terminal_has(
    encoding: str | None, brightest: str
) -> None:
    image = np.zeros((40, 40), np.float32)
    image[30:, :10] = 1  # row 0 is at the bottom
    top = block_picture(image, shades_for(encoding))[0]
    assert top.strip() == 10 * brightest
    assert not top.startswith(" ")


def main_parsed(verb: str, *arguments: object) -> int:
    """Run a verb as the command line does, without its handling of errors."""
    args = build_parser(verb).parse_args([verb, *(str(argument) for argument in arguments)])
    return {"inspect": inspect.run, "process": process.run}[verb](args)


def test_a_run_needs_a_folder_for_its_results(stacks: Path) -> None:
    with pytest.raises(UsageError, match="--out DIR"):
        run(stacks / "A.mrc")


@dataclass(frozen=True)
class Missing:
    id: str
    words: tuple[str, ...]
    message: str


MISSING = [
    Missing("no file", ("nosuch",), "nosuch: no such file or folder"),
    Missing("no second file", ("session", "nosuch"), "nosuch: no such file or folder"),
    Missing("no images yet", ("session",), "session: this session has no images yet"),
]


@pytest.mark.parametrize("case", MISSING, ids=lambda case: case.id)
def test_what_is_missing_is_named_without_an_out_folder(case: Missing, tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    for name in ("journal.jsonl", "protocol.toml"):
        (session / name).touch()
    with pytest.raises(UsageError, match=case.message):
        run(*(tmp_path / word for word in case.words))


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "six"])
def test_a_diameter_must_be_a_positive_number(text: str) -> None:
    with pytest.raises(SystemExit):
        run("A.mrc", "--out", "x", "--diameter-nm", text)


def test_two_processes_of_one_session_write_into_different_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([tmp_path / "processed-2", tmp_path / "processed-3"])
    monkeypatch.setattr(process, "free_results_folder", lambda session: next(free))
    (tmp_path / "processed-2").mkdir()  # by the faster one, after the other had chosen it
    assert process._made(tmp_path / "processed-2", tmp_path) == tmp_path / "processed-3"
    assert (tmp_path / "processed-3").is_dir()


@pytest.mark.parametrize(
    ("written", "left"),
    [((), []), (("processed",), []), (("processed", "A.json"), ["processed", "processed/A.json"])],
    ids=["nothing", "an empty subfolder", "a file"],
)
def test_a_failed_run_leaves_no_empty_folder(
    written: tuple[str, ...], left: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ZeroDivisionError), removed_if_empty(out):
        for name in written:
            path = out / "processed" / name if name.endswith("json") else out / name
            path.touch() if path.suffix else path.mkdir()
        raise ZeroDivisionError
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*")) == left
    assert out.exists() == bool(left)


@pytest.mark.skipif(os.name == "nt", reason="Windows locks no folders")
def test_a_folder_has_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        only_writer(tmp_path),
        pytest.raises(ResultsInUseError, match="another process writes"),
        only_writer(tmp_path),
    ):
        pass
    with only_writer(tmp_path):
        pass
