"""`dualtilt process`: its output and files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli import inspect, process
from controller.app.cli.block_picture import block_picture, shades_for
from controller.app.cli.main import build_parser
from controller.app.cli.output_folder import removed_if_empty
from controller.common.errors import (
    UsageError,
)
from controller.common.exit_codes import ExitCode
from processing import Summary
from processing.batch.results_lock import only_writer
from processing.errors import ResultsInUseError
from processing.files.rawtlt import write_rawtlt
from processing.results import LeftOut
from tests.processing.small_stacks import ANGLES, run, small_stack
from tests.support.documented_files import undocumented


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


@pytest.mark.parametrize("verb", ["inspect", "process --dry-run"])
def test_what_was_understood_is_shown_with_a_picture(
    verb: str, stacks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = small_stack(stacks, tmp_path, (2, 40, 40))
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


def test_angles_that_may_be_radians_are_noted_before_a_run(
    stacks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rawtlt(tmp_path / "radians.rawtlt", np.deg2rad(ANGLES))
    main_parsed("process", "--dry-run", stacks / "A.mrc", "--angles", tmp_path / "radians.rawtlt")
    assert "within 1.22 degrees: maybe radians" in capsys.readouterr().out
    main_parsed("process", "--dry-run", stacks / "A.mrc")
    assert "radians" not in capsys.readouterr().out


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
