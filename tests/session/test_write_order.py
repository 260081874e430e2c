"""Order of the writes of a session, and the files that a failed write leaves."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.commands import StopWhen
from controller.model.events import Event, FrameRecorded, Record, State, StateChanged
from controller.procedures.preflight import check_writing
from controller.session import folder_lock
from controller.session.errors import SessionInUseError
from controller.session.event_log import EventLog, read_events
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock, remove_if_unused
from processing.files.atomic import replace_text
from tests.support.fake_microscope import FakeMicroscope
from tests.support.shims.failures import FailingOperation, fail_with
from tests.support.shims.operations import hooked
from tests.support.small_session import PROTOCOL, Run, open_session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the shims read /proc")


def recorded(action: Callable[[], object]) -> list[str]:
    """Return the operations of an action: kind and file name."""
    operations: list[str] = []

    def note(kind: str, name: str) -> None:
        operations.append(f"{kind} {Path(name.removesuffix(' (deleted)')).name}")

    with hooked(note):
        action()
    return operations


def stopped(path: Path) -> None:
    run = Run(open_session(path))
    run.on_event = lambda event, engine: (
        engine.stop(StopWhen.AFTER_TILT) if isinstance(event, FrameRecorded) else None
    )
    assert run.go() is ExitCode.INTERRUPTED


def test_a_tail_is_safe_in_quarantine_before_the_stack_is_cut(tmp_path: Path) -> None:
    stopped(tmp_path / "s")
    with (tmp_path / "s" / "A.mrc").open("ab") as file:
        file.write(b"tail" * 1000)
    operations = recorded(lambda: open_session(tmp_path / "s").close())
    cut = operations.index("truncate A.mrc")
    copy = next(i for i, o in enumerate(operations) if o.startswith("rename A-after-section-0"))
    assert operations[copy - 1].startswith("sync A-after-section-0")
    assert operations[copy + 1 : copy + 3] == ["open quarantine", "sync quarantine"]
    assert copy + 2 < cut


def test_a_torn_line_is_safe_in_quarantine_before_the_journal_is_cut(tmp_path: Path) -> None:
    stopped(tmp_path / "s")
    with (tmp_path / "s" / "journal.jsonl").open("ab") as file:
        file.write(b'{"seq":')
    operations = recorded(lambda: open_session(tmp_path / "s").close())
    assert operations.index("sync quarantine") < operations.index("truncate journal.jsonl")


def test_a_rejected_frame_is_safe_before_its_line(tmp_path: Path) -> None:
    microscope = FakeMicroscope()
    microscope.spoil = lambda id_, pixels: pixels * 0 if "A-002/frame-0" in id_ else pixels
    run = Run(open_session(tmp_path / "s"), microscope)
    operations = recorded(run.go)
    (file,) = (tmp_path / "s" / "rejected").iterdir()
    lines = (tmp_path / "s" / "journal.jsonl").read_bytes().splitlines()
    line = next(i for i, text in enumerate(lines) if b'"kind":"frame-rejected"' in text)
    writes = [i for i, o in enumerate(operations) if o == "write journal.jsonl"]
    renamed = operations.index(f"rename {file.name}")
    assert operations[renamed + 2] == "sync rejected"
    assert renamed + 2 < writes[line]


def test_a_new_journal_is_in_its_folder_before_its_first_line(tmp_path: Path) -> None:
    operations = recorded(lambda: open_session(tmp_path / "s").close())
    created, first_line = (
        operations.index("open journal.jsonl"),
        operations.index("write journal.jsonl"),
    )
    assert "sync s" in operations[created:first_line]


def test_short_writes_lose_nothing(tmp_path: Path) -> None:
    with hooked(lambda kind, name: 1000 if kind == "write" else None):
        assert Run(open_session(tmp_path / "s")).go() is ExitCode.OK
    assert Run(open_session(tmp_path / "whole")).go() is ExitCode.OK
    for name in ("A.mrc", "B.mrc", "A.rawtlt"):
        assert (tmp_path / "s" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# -- the event log -----------------------------------------------------------------------------


def record(seq: int) -> Record:
    event = StateChanged(state=State.PAUSED, reason="a long reason " * 20)
    return Record(seq=seq, at="2026-01-22T19:00:00.000+01:00", event=event)


def test_the_event_log_is_whole_after_short_writes_and_a_full_disk(tmp_path: Path) -> None:
    """The disk takes a part of a record and then nothing: the next records are readable."""
    sizes = [100, 100, None]

    def hook(kind: str, name: str) -> int | None:
        if kind != "write" or not sizes:
            return 50 if kind == "write" else None
        size = sizes.pop(0)
        if size is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return size

    with hooked(hook):
        log = EventLog(tmp_path / "events.jsonl")
        for seq in (1, 2, 3):
            log.append(record(seq))
        log.close()
    assert log.lost == 1
    assert [read.seq for read in read_events(tmp_path / "events.jsonl")] == [2, 3]


# -- what a failed write leaves ----------------------------------------------------------------

FULL = fail_with(errno.ENOSPC)


def write_file(folder: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        replace_text(folder / "status.json", "text")


@pytest.mark.parametrize("kind", ["open", "write", "sync", "rename"])
def test_a_failed_write_leaves_no_file(tmp_path: Path, kind: str) -> None:
    with hooked(FailingOperation(kind, 1, FULL)):
        write_file(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_test_leaves_no_file(tmp_path: Path) -> None:
    with hooked(FailingOperation("open", 1, FULL, lasting=100)):
        assert not check_writing(tmp_path).ok
    assert list(tmp_path.iterdir()) == []


def test_partial_files_of_a_killed_run_are_removed(tmp_path: Path) -> None:
    """In every folder into which a session or a process of it writes; nothing else is removed."""
    stopped(tmp_path / "s")
    folders = ["maps", "rejected", "quarantine", "processed", "previews", "run", "simulator"]
    places = [tmp_path / "s", *(tmp_path / "s" / name for name in folders)]
    for place in places:
        place.mkdir(exist_ok=True)
        (place / "A.rawtlt.1234abcd.partial").touch()
        (place / "mine.part").touch()
    open_session(tmp_path / "s").close()
    assert not list((tmp_path / "s").rglob("*.partial"))
    assert [place for place in places if not (place / "mine.part").exists()] == []


def test_a_folder_is_removed_under_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = SessionFolder.create(tmp_path / "s", PROTOCOL)
    refused: list[bool] = []
    release = folder_lock.FolderLock.release

    def late(lock: FolderLock) -> None:
        refused.append(not folder.path.exists())
        release(lock)

    def intrude(path: Path) -> None:
        with pytest.raises(SessionInUseError):
            FolderLock(folder)
        os.rmdir(path)  # noqa: PTH106 -- Path.rmdir is replaced

    monkeypatch.setattr(folder_lock.FolderLock, "release", late)
    monkeypatch.setattr(Path, "rmdir", intrude)
    assert remove_if_unused(folder)
    assert refused == [True]


# -- events and threads ------------------------------------------------------------------------


def test_a_stop_without_room_for_a_thread_makes_the_column_safe(tmp_path: Path) -> None:
    def stop(event: Event, engine: object) -> None:
        if isinstance(event, FrameRecorded):
            with hooked(FailingOperation("thread", 1, no_room, 100)):
                run.engine.stop(StopWhen.NOW)
            safe.append(("make-safe", "stopped by the operator") in run.microscope.log)

    def no_room(kind: str, name: str) -> None:
        raise RuntimeError("can't start new thread")

    safe: list[bool] = []
    run = Run(open_session(tmp_path / "s"), on_event=stop)
    assert run.go() is ExitCode.INTERRUPTED
    assert safe == [True]
