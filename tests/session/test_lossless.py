"""No acknowledged frame is lost, whatever single byte of the session's files is wrong."""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from controller.app.cli.main import main
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.plan import make_plan
from controller.service.status_file import last_status
from controller.session.errors import JournalDamagedError
from controller.session.event_log import read_events
from controller.session.folder import SessionFolder
from controller.session.realign import join_after
from controller.session.rebuild import rebuild_journal
from processing.batch.process_session import SessionTask, State, process_session
from processing.files.recorded_images import require_recorded_images
from processing.pipeline.made_with import GivenFacts
from processing.pipeline.settings import ProcessSettings
from tests.support.byte_flips import all_flips, harm, loss, stop_in_b
from tests.support.shims.operations import hooked
from tests.support.small_session import Run, open_session

TWO_FRAMES = 1024 + 2 * 48 * 48 * 2
EVERY = 307
"""Every 307th byte is flipped here, and the special ones; `make soak` flips all of them."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flips") / "s"
    stop_in_b(folder)
    return folder


def test_a_flipped_byte_costs_no_acknowledged_frame(reference: Path, tmp_path: Path) -> None:
    flips = list(all_flips(reference))
    layout = [flip for flip in flips if flip.name.endswith(".mrc") and flip.offset < 16]
    sample = {*flips[::EVERY], *layout, flips[-1], flips[-2]}
    assert {flip.name for flip in sample} >= {"A.mrc", "A.mrc.mdoc", "journal.jsonl"}
    damage = [harm(reference, tmp_path / "s", flip) for flip in sorted(sample, key=str)]
    assert [line for line in damage if line] == []


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the shims read /proc")
def test_a_stack_reopened_in_a_session_keeps_its_frames_whatever_its_header_says(
    tmp_path: Path,
) -> None:
    """After a failed write the stack is opened again; meanwhile its header was damaged."""
    stack = tmp_path / "s" / "A.mrc"
    failed: list[str] = []

    def damage(kind: str, name: str) -> None:
        if failed or (kind, name) != ("write", str(stack)) or stack.stat().st_size < TWO_FRAMES:
            return
        failed.append(name)
        with stack.open("r+b") as file:
            file.write(bytes([16]))
        raise OSError(errno.EIO, "Input/output error")

    run = Run(open_session(tmp_path / "s"))
    with hooked(damage):
        assert run.go() is ExitCode.OK
    assert failed
    assert mrcfile.read(stack).shape == (5, 48, 48)
    assert Run(open_session(tmp_path / "whole")).go() is ExitCode.OK
    assert stack.read_bytes() == (tmp_path / "whole" / "A.mrc").read_bytes()
    (kept,) = (tmp_path / "s" / "quarantine").iterdir()
    assert kept.read_bytes()[:1] == bytes([16])


# -- bytes inserted into a stack, or removed from it -------------------------------------------

FRAME = 48 * 48 * 2
SECOND = 1024 + FRAME
"""Place of the first byte of image 2 in A.mrc."""


@dataclass(frozen=True)
class Shift:
    """Bytes put into A.mrc at a place, or taken out of it; A has 5 frames."""

    name: str
    at: int
    insert: bytes = b""
    remove: int = 0
    append: bytes = b""
    lost: tuple[int, ...] = ()
    """Sections that cannot be restored."""


SHIFTS = [
    Shift("into a frame", SECOND + FRAME // 2, insert=bytes(16)),
    Shift("odd, into a frame", SECOND + 1001, insert=b"abcdefghi"),
    Shift("between two frames", SECOND, insert=b"0123456789abcdef"),
    Shift("into the header", 500, insert=bytes(16)),
    Shift("into the last frame", 1024 + 5 * FRAME - 2, insert=bytes(16)),
    Shift("before a frame without a line", SECOND, insert=bytes(16), append=bytes(FRAME)),
    Shift("out of the header", 500, remove=16),
    Shift("out of a frame", SECOND + FRAME // 2, remove=16, lost=(1,)),
    Shift(
        "out of one before a frame without a line", SECOND + FRAME // 2, b"", 16, bytes(FRAME), (1,)
    ),
    Shift("a whole frame", SECOND, remove=FRAME, lost=(1,)),
]


@pytest.mark.parametrize("shift", SHIFTS, ids=lambda shift: shift.name)
def test_shifted_frames_are_moved_back_and_the_changed_stack_is_kept(
    reference: Path, tmp_path: Path, shift: Shift
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    whole = (folder / "A.mrc").read_bytes()
    changed = whole[: shift.at] + shift.insert + whole[shift.at + shift.remove :] + shift.append
    (folder / "A.mrc").write_bytes(changed)
    session = open_session(folder)
    session.close()
    assert any("moved back to their places" in line for line in session.recovery_report)
    assert {section for _, section in session.ledger.damaged} == set(shift.lost)
    assert any(kept.read_bytes() == changed for kept in (folder / "quarantine").iterdir())
    restored = (folder / "A.mrc").read_bytes()
    for section in set(range(5)) - set(shift.lost):
        place = slice(1024 + section * FRAME, 1024 + (section + 1) * FRAME)
        assert restored[place] == whole[place]
    assert len(restored) == len(whole)
    if not shift.lost:
        assert loss(reference, folder) == ""
    again = open_session(folder)
    again.close()
    assert again.recovery_report == ()


def test_a_join_is_found_by_its_checksum_alone() -> None:
    whole = bytes(range(256)) * 3
    before, after = whole[:100] + b"x" * 668, b"y" * 100 + whole[100:]
    assert join_after(before, after, zlib.crc32(whole)) == 100
    assert join_after(before, after, zlib.crc32(whole) ^ 1) is None


@pytest.mark.parametrize("at", [SECOND + FRAME // 2, SECOND + 5], ids=["shifted", "one byte"])
def test_images_that_differ_from_the_journal_are_not_processed(
    reference: Path, tmp_path: Path, at: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    whole = (folder / "A.mrc").read_bytes()
    require_recorded_images(folder / "A.mrc", np.zeros(5, bool))
    inserted = b"\1" * 16 + whole[at:] if at != SECOND + 5 else b"\xff" + whole[at + 1 :]
    (folder / "A.mrc").write_bytes(whole[:at] + inserted)
    says = "images differ from what was recorded, the first is A#2; dualtilt resume"
    before = {path.name for path in folder.iterdir()}
    for words in ([folder], [folder / "A.mrc", "--out", folder / "out"]):
        assert main(["process", *map(str, words)]) == ExitCode.USAGE
        assert says in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == before
    outcome = process_session(SessionTask(folder, ProcessSettings(), GivenFacts(), False))
    assert outcome.state is State.FAILED
    assert says in outcome.reason
    open_session(folder).close()  # restores the images, or marks them
    excluded = np.array([at == SECOND + 5 and section == 1 for section in range(5)])
    require_recorded_images(folder / "A.mrc", excluded)


# -- files too large to be the session's own ---------------------------------------------------

SPARSE_BYTES = 60 << 30


TOO_LARGE = ["A.mrc", "B.mrc", "journal.jsonl", "protocol.toml"]


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_file_of_60_gb_is_refused_in_one_line_and_not_read(
    reference: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    before = (folder / name).stat().st_size
    os.truncate(folder / name, SPARSE_BYTES)
    with pytest.raises(UsageError, match=name) as refused:
        open_session(folder)
    assert "\n" not in str(refused.value)
    assert (folder / name).stat().st_size == SPARSE_BYTES
    os.truncate(folder / name, before)
    open_session(folder).close()
    assert loss(reference, folder) == ""


def test_an_event_log_or_status_of_60_gb_is_not_read(tmp_path: Path) -> None:
    for name in ("events.jsonl", "status.json"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, SPARSE_BYTES)
    with pytest.raises(UsageError, match="move it away"):
        read_events(tmp_path / "events.jsonl")
    assert last_status(tmp_path) is None


@pytest.mark.parametrize("angle", ["1e308", "nan", "-inf"])
def test_an_impossible_angle_in_the_mdoc_rebuilds_no_frame(
    reference: Path, tmp_path: Path, angle: str
) -> None:
    folder = tmp_path / "s"
    shutil.copytree(reference, folder)
    mdoc = folder / "A.mrc.mdoc"
    mdoc.write_text(mdoc.read_text().replace("TiltAngle = -10", f"TiltAngle = {angle}"))
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    second = [i for i, line in enumerate(lines) if b'"kind":"frame-written"' in line][1]
    lines[second] = lines[second].replace(b'"kind"', b'"kimd"', 1)
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    opened = SessionFolder.open(folder)
    with pytest.raises(JournalDamagedError, match=r"section 1 of A\.mrc has neither"):
        rebuild_journal(opened, make_plan(opened.read_protocol()))
