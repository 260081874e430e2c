"""Resuming a folder in every state that a crash, a person or a disk can leave."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mdocfile
import mrcfile
import numpy as np
import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded
from controller.session import journal_file
from controller.session.ballast import Ballast
from controller.session.errors import (
    JournalDamagedError,
    ProtocolChangedError,
    SessionInUseError,
)
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from controller.session.recovery import recover
from processing.files import atomic, mrc_writer
from processing.files.tilt_series import load_tilt_series
from tests.support.fake_microscope import FakeMicroscope
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, TILTS_A, Run, open_session

SECTION_BYTES = 48 * 48 * 2


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Folder of a session that was stopped after three tilts of A."""
    run = Run(open_session(tmp_path / "s"))
    run.on_event = lambda event, engine: (
        engine.stop(StopWhen.AFTER_TILT)
        if isinstance(event, FrameRecorded) and event.frame.section == 2
        else None
    )
    assert run.go() is ExitCode.INTERRUPTED
    return tmp_path / "s"


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


@dataclass(frozen=True)
class Damage:
    name: str
    change: Callable[[Path], object]
    message: str


DAMAGE = [
    Damage(
        "a frame that is not in the journal",
        lambda folder: append(folder / "A.mrc", bytes(SECTION_BYTES)),
        f"{SECTION_BYTES} bytes not in the journal",
    ),
    Damage(
        "half a frame",
        lambda folder: append(folder / "A.mrc", bytes(1001)),
        "1001 bytes not in the journal",
    ),
    Damage(
        "a torn line",
        lambda folder: append(folder / "journal.jsonl", b'{"seq":99,"at"'),
        "a torn last line was cut off",
    ),
    Damage(
        "a frame whose bytes have changed",
        lambda folder: overwrite(folder / "A.mrc", 1024 + SECTION_BYTES + 77, b"rot"),
        "A#2 (-10 degrees) differs from what was recorded",
    ),
    Damage("no mdoc", lambda folder: (folder / "A.mrc.mdoc").unlink(), ""),
    Damage(
        "a header with a wrong number of sections",
        lambda folder: overwrite(folder / "A.mrc", 8, bytes(4)),
        "",
    ),
    Damage(
        "a header that is not MRC",
        lambda folder: overwrite(folder / "A.mrc", 208, b"JUNK"),
        "its header contradicted the journal",
    ),
    Damage(
        "a header with wider images",
        lambda folder: overwrite(folder / "A.mrc", 0, bytes([176])),
        "its header contradicted the journal",
    ),
    Damage(
        "a header with another pixel type",
        lambda folder: overwrite(folder / "A.mrc", 12, bytes([2])),
        "its header contradicted the journal",
    ),
]


@pytest.mark.parametrize("case", DAMAGE, ids=lambda case: case.name)
def test_damage_is_reported_and_quarantined_and_the_session_continues(
    stopped: Path, case: Damage
) -> None:
    case.change(stopped)
    session = open_session(stopped)
    assert len(session.recovery_report) == (1 if case.message else 0)
    assert all(case.message in line for line in session.recovery_report)
    assert Run(session).go() is ExitCode.OK
    assert mrcfile.read(stopped / "A.mrc").shape[0] == len(TILTS_A)
    assert [float(a) for a in (stopped / "A.rawtlt").read_text().split()] == TILTS_A
    assert list(mdocfile.read(stopped / "A.mrc.mdoc").TiltAngle) == TILTS_A
    kept = list((stopped / "quarantine").glob("*"))
    assert len(kept) == (1 if case.message else 0)


def test_a_damaged_frame_is_left_out_of_processing_and_reported_once(stopped: Path) -> None:
    overwrite(stopped / "A.mrc", 1024 + SECTION_BYTES + 77, b"rot")
    open_session(stopped).close()
    assert list(load_tilt_series(stopped / "A.mrc").excluded) == [False, True, False]
    again = open_session(stopped)
    assert again.recovery_report == ()
    assert len(list((stopped / "quarantine").iterdir())) == 1
    assert Run(again).go() is ExitCode.OK
    assert list(np.flatnonzero(load_tilt_series(stopped / "A.mrc").excluded)) == [1]


def test_recover_returns_steps_frames_and_dose(stopped: Path) -> None:
    recovered = recover(SessionFolder.open(stopped))
    assert {"A-001", "A-002", "A-003"} <= recovered.completed
    assert "A-004" not in recovered.completed
    assert recovered.flip is None
    assert [frame.nominal_deg for frame in recovered.ledger.frames["A"]] == TILTS_A[:3]
    shower, frame = 1156.0, 43.7
    assert recovered.dose_e_per_A2 == pytest.approx(shower + 3 * 1.2 * frame, rel=0.05)


@dataclass(frozen=True)
class Refused:
    name: str
    change: Callable[[Path], object]
    error: type[UsageError]
    message: str


def change_protocol(folder: Path) -> None:
    text = (folder / "protocol.toml").read_text()
    (folder / "protocol.toml").write_text(text.replace("dwell_us = 10.0", "dwell_us = 5.0"))


def damage_journal(folder: Path) -> None:
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"0", b"1", 3)
    (folder / "journal.jsonl").write_bytes(b"".join(lines))


REFUSED = [
    Refused(
        "another protocol", change_protocol, ProtocolChangedError, "dwell_us: was 10.0, is 5.0"
    ),
    Refused("a damaged journal", damage_journal, JournalDamagedError, "line 4 is damaged"),
    Refused(
        "a stack cut short",
        lambda folder: (folder / "A.mrc").write_bytes((folder / "A.mrc").read_bytes()[:-100]),
        JournalDamagedError,
        "ends within A#3",
    ),
    Refused(
        "no stack",
        lambda folder: (folder / "A.mrc").unlink(),
        JournalDamagedError,
        "is missing, the journal has 3 frames",
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_folder_that_cannot_be_resumed_is_refused_in_one_line(
    stopped: Path, case: Refused
) -> None:
    case.change(stopped)
    with pytest.raises(case.error, match=case.message) as caught:
        open_session(stopped)
    assert "\n" not in str(caught.value)
    with pytest.raises(case.error):  # the lock was freed
        open_session(stopped)


# -- one run per folder ---------------------------------------------------------------------


def test_a_second_run_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    session = open_session(tmp_path / "s")
    script = (
        "import sys; from pathlib import Path;"
        "from tests.support.small_session import open_session; open_session(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "s")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "another run is using this folder (process " in second.stderr
    with pytest.raises(SessionInUseError):
        open_session(tmp_path / "s")
    session.close()
    open_session(tmp_path / "s").close()


FOLDERS: list[tuple[str, Callable[[Path], object], str]] = [
    ("not empty", lambda path: (path / "holiday.jpg").write_text(""), "is not empty"),
    ("a session", lambda path: (path / "journal.jsonl").write_text(""), "dualtilt resume"),
]


@pytest.mark.parametrize(("name", "prepare", "message"), FOLDERS, ids=[f[0] for f in FOLDERS])
def test_a_new_session_needs_a_new_folder(
    tmp_path: Path, name: str, prepare: Callable[[Path], object], message: str
) -> None:
    prepare(tmp_path)
    with pytest.raises(UsageError, match=message):
        SessionFolder.create(tmp_path, PROTOCOL)


@pytest.mark.parametrize(
    ("folder", "message"), [("", "holds no session"), ("missing", "no such folder")]
)
def test_a_folder_without_a_session_cannot_be_resumed(
    tmp_path: Path, folder: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        SessionFolder.open(tmp_path / folder)
    assert not any(tmp_path.iterdir())


def test_a_session_without_its_protocol_is_not_called_none(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    folder.journal.touch()
    folder.protocol.unlink()
    with pytest.raises(UsageError, match=r"its protocol\.toml is missing; restore it"):
        SessionFolder.open(folder.path)


def test_a_crash_before_the_first_entry_starts_anew(tmp_path: Path) -> None:
    SessionFolder.create(tmp_path / "s", PROTOCOL)
    (tmp_path / "s" / "journal.jsonl").write_bytes(b'{"seq":0')
    session = open_session(tmp_path / "s")
    assert not session.resumed
    assert Run(session).go() is ExitCode.OK


# -- files and durability -------------------------------------------------------------------


def test_the_mdoc_describes_each_frame(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.drift_nm = (5.0, 0.0)
    Run(open_session(tmp_path / "s"), microscope).go()
    mdoc = mdocfile.read(tmp_path / "s" / "A.mrc.mdoc")
    assert list(mdoc.ZValue) == [0, 1, 2, 3, 4]
    assert list(mdoc.TiltAngle) == TILTS_A
    assert np.diff(mdoc.PriorRecordDose).min() >= mdoc.ExposureDose.iloc[0] - 1e-6
    assert mdoc.PixelSpacing.iloc[0] == 10
    assert mdoc.StagePosition.iloc[-1][0] == pytest.approx(-0.005, abs=0.002)


def test_ballast_reserves_space_without_posix_fallocate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no posix_fallocate: there, making the file longer reserves its space."""
    monkeypatch.delattr(os, "posix_fallocate")
    ballast = Ballast(tmp_path / "ballast")
    ballast.reserve(100_000)
    assert ballast.held_bytes == 100_000
    ballast.shrink(60_000)
    assert ballast.held_bytes == 40_000


def test_writes_are_synced_without_fdatasync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows has no fdatasync: every acknowledged write uses fsync instead."""
    synced: list[int] = []
    with monkeypatch.context() as windows:
        windows.delattr(os, "fdatasync")
        assert importlib.reload(atomic).sync_data is os.fsync
    importlib.reload(atomic)

    def fsync(descriptor: int) -> None:
        synced.append(descriptor)
        os.fsync(descriptor)

    monkeypatch.setattr(journal_file, "sync_data", fsync)
    monkeypatch.setattr(mrc_writer, "sync_data", fsync)
    assert Run(open_session(tmp_path / "s")).go() is ExitCode.OK
    lines = read_journal(tmp_path / "s" / "journal.jsonl").lines
    stacks, frames = 2, 9
    assert len(synced) == len(lines) + stacks + 2 * frames  # pixels and header of each frame


def test_ballast_reserves_space_and_frees_it(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast")
    ballast.reserve(100_000)
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 100_000
    ballast.shrink(60_000)
    assert ballast.held_bytes == 40_000
    ballast.shrink(60_000)
    assert not (tmp_path / "ballast").exists()


BALLAST: dict[str, Callable[[Path, Path], object]] = {
    "a folder": lambda ballast, mine: ballast.mkdir(),
    "a hard link": lambda ballast, mine: ballast.hardlink_to(mine),
    "a link": lambda ballast, mine: ballast.symlink_to(mine),
}
REFUSED_BALLAST = {"a folder": "ballast: is a folder, not a file; remove it", "a link": "is a link"}


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("name", BALLAST)
def test_a_planted_ballast_stops_no_recording_and_changes_nothing_outside(
    tmp_path: Path, name: str
) -> None:
    mine, ballast = tmp_path / "mine", tmp_path / "s" / "ballast"
    mine.write_text("mine")

    def plant(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            ballast.unlink(missing_ok=True)
            BALLAST[name](ballast, mine)

    assert Run(open_session(tmp_path / "s"), on_event=plant).go() is ExitCode.OK
    assert mine.read_text() == "mine"
    assert mrcfile.read(tmp_path / "s" / "B.mrc").shape[0] == 4
    if ballast.is_dir():
        ballast.rmdir()
    ballast.unlink(missing_ok=True)
    BALLAST[name](ballast, mine)
    if name in REFUSED_BALLAST:
        with pytest.raises(UsageError, match=REFUSED_BALLAST[name]):
            open_session(tmp_path / "s")
    else:
        open_session(tmp_path / "s").close()
    assert mine.read_text() == "mine"
