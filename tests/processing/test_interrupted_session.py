"""A session whose recording was cut off: the whole images are read, and the missing ones named."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.app.cli.main import main
from controller.common.exit_codes import ExitCode
from processing.errors import InputFileError
from processing.files.tilt_series import load_tilt_series
from tests.support.byte_flips import stop_in_b
from tests.support.small_session import TILTS_A, TILTS_B, Run, open_session

FRAME = 48 * 48 * 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session of five images of A and four of B."""
    folder = tmp_path_factory.mktemp("whole") / "s"
    Run(open_session(folder)).go()
    return folder


def cut(path: Path, lost_bytes: int) -> None:
    os.truncate(path, path.stat().st_size - lost_bytes)


def forget_last_image(stack: Path) -> None:
    """Leave mdoc and angles as they were before the last image: they are written after it."""
    mdoc = stack.with_name(f"{stack.name}.mdoc")
    mdoc.write_text(mdoc.read_text().rpartition("[ZValue")[0])
    angles = stack.with_suffix(".rawtlt")
    angles.write_text("".join(angles.read_text().splitlines(keepends=True)[:-1]))


@dataclass(frozen=True)
class Case:
    name: str
    stack: str
    change: Callable[[Path], None]
    images: int
    says: str


CASES = [
    Case("within the last image", "A", lambda path: cut(path, 300), 4, "A#5 (+20 degrees) is"),
    Case("a whole image gone", "B", lambda path: cut(path, FRAME), 3, "B#4 (+10 degrees) is"),
    Case(
        "within the fourth",
        "A",
        lambda path: cut(path, FRAME + 1),
        3,
        "2 images, A#4 (+10 degrees) to A#5 (+20 degrees), are",
    ),
    Case("an image not described yet", "A", forget_last_image, 4, "not in its mdoc yet"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whole_images_are_read_and_the_missing_ones_named(
    finished: Path, tmp_path: Path, case: Case
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(finished, folder)
    stack = folder / f"{case.stack}.mrc"
    whole = load_tilt_series(stack)
    case.change(stack)
    left = load_tilt_series(stack)
    np.testing.assert_array_equal(left.images, whole.images[: case.images])
    np.testing.assert_array_equal(left.angles_deg, whole.angles_deg[: case.images])
    assert left.tilt_numbers == tuple(range(1, case.images + 1))
    (named,) = [note for note in left.notes if case.says in note]
    assert f"dualtilt resume {folder}" in named


def test_the_verb_says_what_is_missing_before_it_processes(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "s")
    cut(tmp_path / "s" / "B.mrc", 300)
    assert main(["process", str(tmp_path / "s"), "--dry-run"]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "B.mrc was cut off: B#4 (+10 degrees) is missing" in said
    assert "images      5 of 48 x 48" in said and "images      3 of 48 x 48" in said
    assert "A#3, at " in said and "section" not in said


@pytest.mark.parametrize("left_bytes", [100, 1024, 1024 + FRAME - 1])
def test_a_stack_without_a_whole_image_says_what_to_do(
    finished: Path, tmp_path: Path, left_bytes: int
) -> None:
    shutil.copytree(finished, tmp_path / "s")
    os.truncate(tmp_path / "s" / "B.mrc", left_bytes)
    with pytest.raises(InputFileError, match=r"none of its 4 images is left.*--retake-damaged"):
        load_tilt_series(tmp_path / "s" / "B.mrc")
    assert load_tilt_series(tmp_path / "s" / "A.mrc").tilts == len(TILTS_A)


@pytest.mark.parametrize("images", [0, 2])
def test_a_session_without_a_usable_b_says_how_to_process_a_alone(
    finished: Path, tmp_path: Path, images: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, tmp_path / "s")
    os.truncate(tmp_path / "s" / "B.mrc", 1024 + images * FRAME)
    assert main(["process", str(tmp_path / "s")]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"to process A alone: dualtilt process {tmp_path}/s/A.mrc --out DIR" in said
    assert not (tmp_path / "s" / "processed-2").exists()


def test_images_that_the_journal_does_not_know_are_said_to_be_unchecked(
    finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "s")
    (tmp_path / "s" / "journal.jsonl").write_bytes(bytes(range(256)))
    loaded = load_tilt_series(tmp_path / "s" / "A.mrc")
    assert any("5 of 5 images have no good line in journal.jsonl" in n for n in loaded.notes)


def test_the_present_folder_may_be_named_by_a_dot(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for verb in ("inspect", "process"):
        assert main([verb, ".", *(["--out", "out"] if verb == "process" else [])]) == ExitCode.USAGE
        assert "internal error" not in capsys.readouterr().err
    monkeypatch.chdir(finished)
    assert main(["process", ".", "--dry-run"]) == ExitCode.OK


def test_a_place_where_no_results_can_be_written_is_named(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(finished / "processed-2"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main(["process", str(finished)]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "processed-2: Read-only file system; choose another place with --out DIR" in said


def test_a_copy_without_its_session_is_refused_as_before(finished: Path, tmp_path: Path) -> None:
    for name in ("B.mrc", "B.mrc.mdoc"):
        shutil.copy(finished / name, tmp_path / name)
    cut(tmp_path / "B.mrc", 300)
    with pytest.raises(InputFileError, match="cut off: it holds 3 whole images of the 4"):
        load_tilt_series(tmp_path / "B.mrc")


def test_a_session_that_stopped_is_read_as_far_as_it_came(tmp_path: Path) -> None:
    stop_in_b(tmp_path / "s")
    assert load_tilt_series(tmp_path / "s" / "B.mrc").tilts < len(TILTS_B)
