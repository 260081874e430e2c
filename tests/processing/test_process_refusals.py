"""`dualtilt process`: one line for every bad input, and no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.common.errors import (
    DualtiltError,
    ProcessingFailedError,
    SafetyStopError,
    UsageError,
)
from processing import write_images
from processing.files.rawtlt import write_rawtlt
from tests.processing.small_stacks import ANGLES, run, small_stack


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


def copied(stacks: Path, scratch: Path) -> Path:
    for end in ("mrc", "rawtlt"):
        (scratch / f"copy.{end}").write_bytes((stacks / f"A.{end}").read_bytes())
    return scratch / "copy.mrc"


def with_diameter(diameter_nm: float) -> Callable[[Path, Path], list[object]]:
    """A given diameter, in a field of 56 pixels of 0.9 nm."""
    return lambda s, t: [s / "A.mrc", "--diameter-nm", diameter_nm]


CASES = [
    Bad("one image", lambda s, t: [small_stack(s, t, (1, 40, 40))], UsageError, "holds one image"),
    Bad("two images", lambda s, t: [small_stack(s, t, (2, 40, 40))], UsageError, "holds 2 images"),
    Bad("one row", lambda s, t: [small_stack(s, t, (9, 1, 40))], UsageError, "40 x 1 pixels"),
    Bad(
        "fifteen columns",
        lambda s, t: [small_stack(s, t, (9, 40, 15))],
        UsageError,
        "15 x 40 pixels",
    ),
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
    Bad("a copy of A", lambda s, t: [s / "A.mrc", copied(s, t)], UsageError, "the same images as"),
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


REFUSED_AT_ONCE: dict[str, Callable[[Path, Path], list[object]]] = {
    "tilts 1 to 29, counted from 1": lambda s, t: [s / "A.mrc", "--drop", "A:99"],
    "there is no series B": lambda s, t: [s / "A.mrc", "--drop", "B:3"],
    "holds the same images as": lambda s, t: [s / "A.mrc", copied(s, t)],
    "is not in series A": lambda s, t: [s / "A.mrc", "--region", 56, 20, 9],
    "1.8 to 25.2 nm": with_diameter(30.0),
}


@pytest.mark.parametrize("message", REFUSED_AT_ONCE)
def test_a_dry_run_refuses_what_a_run_refuses(message: str, stacks: Path, tmp_path: Path) -> None:
    words = REFUSED_AT_ONCE[message](stacks, tmp_path)
    for more in (["--dry-run"], ["--out", tmp_path / "out"]):
        with pytest.raises(UsageError, match=message):
            run(*words, *more)


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
