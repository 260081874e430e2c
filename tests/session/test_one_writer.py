"""One run writes in a session's folder, and the folder belongs to its user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.engine import Engine
from controller.model.commands import StopWhen
from controller.model.events import Event, StateChanged
from controller.session import folder_lock
from controller.session.errors import SessionInUseError
from controller.session.folder import SessionFolder
from controller.session.journal import read_journal
from processing.files import exclusive_lock
from processing.files.atomic import open_plain
from tests.support.frames import is_frame
from tests.support.small_session import PROTOCOL, Run, open_session

pytestmark = pytest.mark.skipif(os.name == "nt", reason="owners, modes and links of POSIX")


def test_a_removed_lock_file_admits_no_second_run(tmp_path: Path) -> None:
    def intrude(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            (tmp_path / "s" / "lock").unlink()
            with pytest.raises(SessionInUseError):
                open_session(tmp_path / "s")

    run = Run(open_session(tmp_path / "s"), on_event=intrude)
    assert run.go() is ExitCode.OK


def test_somebody_who_asks_for_the_holder_keeps_no_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question holds the lock for an instant."""
    fcntl = pytest.importorskip("fcntl")
    open_session(tmp_path / "s").close()
    with (tmp_path / "s" / "lock").open("rb") as question:
        fcntl.flock(question, fcntl.LOCK_SH)
        monkeypatch.setattr(exclusive_lock.time, "sleep", lambda _: question.close())
        open_session(tmp_path / "s").close()


def append_a_line(journal: Path) -> None:
    last = journal.read_bytes().splitlines(keepends=True)[-1]
    with journal.open("ab") as file:
        file.write(last)


def replace_by_a_copy(journal: Path) -> None:
    content = journal.read_bytes()
    journal.unlink()
    journal.write_bytes(content)


INTRUSIONS: dict[str, Callable[[Path], None]] = {
    "removed": Path.unlink,
    "replaced": replace_by_a_copy,
    "written to": append_a_line,
}


@pytest.mark.parametrize("intrude", INTRUSIONS.values(), ids=INTRUSIONS.keys())
def test_a_journal_that_is_taken_ends_the_session_safely(
    tmp_path: Path, intrude: Callable[[Path], None]
) -> None:
    journal = tmp_path / "s" / "journal.jsonl"

    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            intrude(journal)

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.SAFETY
    assert run.microscope.blanked
    assert "while the session ran" in run.of(StateChanged)[-1].reason or "wrote to it" in (
        run.of(StateChanged)[-1].reason
    )
    (kept,) = (tmp_path / "s" / "quarantine").iterdir()
    journal.unlink(missing_ok=True)
    kept.rename(journal)
    frames = [e.entry for e in read_journal(journal).lines if e.entry.kind == "frame-written"]
    assert len(frames) == 2
    again = Run(open_session(tmp_path / "s"), run.microscope)
    assert again.go() is ExitCode.OK


@pytest.mark.parametrize("take", [Path.unlink, replace_by_a_copy], ids=["removed", "replaced"])
def test_a_stack_that_is_taken_ends_the_session_safely_and_loses_no_frame(
    tmp_path: Path, take: Callable[[Path], None]
) -> None:
    stack = tmp_path / "s" / "A.mrc"
    before: list[bytes] = []

    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            before.append(stack.read_bytes())
            take(stack)

    run = Run(open_session(tmp_path / "s"), on_event=look)
    assert run.go() is ExitCode.SAFETY
    assert run.microscope.blanked
    assert "A.mrc: was removed or replaced" in run.of(StateChanged)[-1].reason
    (kept,) = (tmp_path / "s" / "quarantine").iterdir()
    assert kept.read_bytes() == before[0]
    stack.unlink(missing_ok=True)
    kept.rename(stack)
    assert Run(open_session(tmp_path / "s"), run.microscope).go() is ExitCode.OK
    assert stack.read_bytes()[1024:].startswith(before[0][1024:])


def test_a_second_run_where_folders_cannot_be_locked_ends_the_first_safely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS cannot lock folders; a removed lock file then admits a second run."""
    monkeypatch.setattr(folder_lock, "lock_folder", lambda folder: None)

    def intrude(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            (tmp_path / "s" / "lock").unlink()
            open_session(tmp_path / "s").close()

    run = Run(open_session(tmp_path / "s"), on_event=intrude)
    assert run.go() is ExitCode.SAFETY
    assert "another program wrote to it" in run.of(StateChanged)[-1].reason
    lines = read_journal(tmp_path / "s" / "journal.jsonl").lines  # not spoilt
    assert lines[-1].entry.kind == "session-resumed"


# -- a folder that somebody else has prepared --------------------------------------------------


def foreign(path: Path) -> None:
    path.mkdir()
    os.chown(path, 12345, 12345)


def writable_by_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def a_link(path: Path) -> None:
    path.with_name("elsewhere").mkdir()
    path.symlink_to(path.with_name("elsewhere"))


def link_inside(name: str) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.mkdir()
        (path / name).symlink_to(path.with_name("home"))

    return plant


def pipe_inside(name: str) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.mkdir()
        os.mkfifo(path / name)

    return plant


PLANTED: list[tuple[str, Callable[[Path], None], str]] = [
    ("somebody else's", foreign, "belongs to user 12345"),
    ("writable by others", writable_by_others, "chmod go-w"),
    ("a link", a_link, "is a link"),
    ("a linked subfolder", link_inside("run"), "is a link"),
    ("a linked protocol", link_inside("protocol.toml"), "is a link"),
    ("a pipe", pipe_inside("run"), "is a pipe"),
]


@pytest.mark.parametrize(("name", "plant", "message"), PLANTED, ids=[p[0] for p in PLANTED])
def test_a_folder_prepared_by_somebody_else_is_refused_and_nothing_followed(
    tmp_path: Path, name: str, plant: Callable[[Path], None], message: str
) -> None:
    if plant is foreign and os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    plant(tmp_path / "s")
    with pytest.raises(UsageError, match=message) as refused:
        SessionFolder.create(tmp_path / "s", PROTOCOL)
    assert "\n" not in str(refused.value)
    assert list(home.iterdir()) == []
    assert home.stat().st_mode & 0o777 == 0o755


LINKED = ["journal.jsonl", "A.mrc", "A.mrc.mdoc", "events.jsonl", "ballast", "lock", "quarantine"]


@pytest.mark.parametrize("name", LINKED)
def test_no_file_of_a_session_is_written_through_a_link(tmp_path: Path, name: str) -> None:
    open_session(tmp_path / "s").close()
    target = tmp_path / "bashrc"
    target.write_bytes((tmp_path / "s" / name).read_bytes() if name == "journal.jsonl" else b"mine")
    before = target.read_bytes()
    (tmp_path / "s" / name).unlink(missing_ok=True)
    (tmp_path / "s" / name).symlink_to(target)
    with pytest.raises(UsageError, match="is a link"):
        open_session(tmp_path / "s")
    assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["journal.jsonl", "A.mrc", "lock"])
def test_no_file_of_a_session_is_written_under_a_second_name(tmp_path: Path, name: str) -> None:
    """A hard link is no symbolic link: a write would change the file under both names."""
    folder = tmp_path / "s"
    run = Run(open_session(folder))
    run.on_event = lambda event, engine: (
        engine.stop(StopWhen.AFTER_TILT) if is_frame(event, "A", 1) else None
    )
    assert run.go() is ExitCode.INTERRUPTED
    target = tmp_path / "bashrc"
    target.write_bytes((folder / name).read_bytes() + b"mine" * (name == "lock"))
    (folder / name).unlink()
    (folder / name).hardlink_to(target)
    before = target.read_bytes()
    with pytest.raises(UsageError, match=f"cannot be written: {name}: has a second name"):
        open_session(folder)
    assert target.read_bytes() == before
    target.unlink()
    assert Run(open_session(folder), run.microscope).go() is ExitCode.OK


@pytest.mark.parametrize("name", ["A.mrc", "events.jsonl", "ballast", "lock", "previews"])
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    open_session(tmp_path / "s").close()
    place = tmp_path / "s" / name
    if place.is_dir():
        place.rmdir()
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(UsageError, match=f"{name}: is a pipe or device, not a file; remove it"):
        open_session(tmp_path / "s")
    with pytest.raises(OSError, match="is a pipe"):  # planted while the session runs
        open_plain(place, "rb")


@pytest.mark.parametrize("name", ["A.mrc", "ballast", "events.jsonl"])
def test_a_link_planted_while_the_session_runs_is_not_followed(tmp_path: Path, name: str) -> None:
    target = tmp_path / "bashrc"
    target.write_text("mine")
    (tmp_path / name).symlink_to(target)
    with pytest.raises(OSError, match="is a link"):
        open_plain(tmp_path / name, "a+b")
    assert target.read_text() == "mine"


# -- a folder above it that is exchanged while the session runs ----------------------------------

WATCHED = ("journal.jsonl", "A.mrc")
"""Files that the session compares with those that it opened."""


def exchange_parent(base: Path, *, with_hard_links: bool) -> Path:
    """Rename the session's parent folder and put a link to a prepared one in its place."""
    prepared = base / "prepared"
    (prepared / "s").mkdir(parents=True)
    for name in WATCHED if with_hard_links else ():
        (prepared / "s" / name).hardlink_to(base / "data" / "s" / name)
    (base / "data").rename(base / "moved")
    (base / "data").symlink_to(prepared)
    return prepared / "s"


@pytest.mark.parametrize("unnoticed", [True, False])
def test_a_parent_folder_exchanged_for_a_link_redirects_no_write(
    tmp_path: Path, unnoticed: bool
) -> None:
    """Also where hard links keep the exchange from being noticed."""
    planted: list[Path] = []

    def look(event: Event, engine: Engine) -> None:
        if is_frame(event, "A", 1):
            planted.append(exchange_parent(tmp_path, with_hard_links=unnoticed))
        if is_frame(event, "A", 3):
            engine.stop(StopWhen.AFTER_TILT)

    (tmp_path / "data").mkdir()
    run = Run(open_session(tmp_path / "data" / "s"), on_event=look)
    run.microscope.spoil = lambda id_, pixels: pixels * 0 if "A-003/frame-0" in id_ else pixels
    assert run.go() is (ExitCode.INTERRUPTED if unnoticed else ExitCode.SAFETY)
    written = {item.name for item in planted[0].iterdir()}
    assert written == (set(WATCHED) if unnoticed else set())
    kept = {item.name for item in (tmp_path / "moved" / "s").iterdir()}
    assert {"rejected"} <= kept if unnoticed else {"quarantine"} <= kept
    (tmp_path / "data").unlink()
    (tmp_path / "moved").rename(tmp_path / "data")
    if unnoticed:
        for name in WATCHED:
            (planted[0] / name).unlink()
        assert len((tmp_path / "data" / "s" / "A.rawtlt").read_text().split()) == 4
        assert Run(open_session(tmp_path / "data" / "s"), run.microscope).go() is ExitCode.OK
