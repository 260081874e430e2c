"""A reader that closes its pipe early, such as `head`, is no error of the command."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.events import State, StateChanged
from controller.service.session_server import SessionService
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.grid_folder import GridFolder
from tests.support.inspected_session import make_inspected
from tests.support.recording_engine import RecordingEngine

COMMAND = (sys.executable, "-m", "controller.app.cli.main")
ENOUGH_S = 60.0
FULL = Path("/dev/full")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "{session}"),
        ("compare", "{session}", "{again}"),
        ("config", "schema"),
    ],
    ids=" ".join,
)
def test_a_closed_pipe_is_no_error(words: tuple[str, ...], unbuffered: str, tmp_path: Path) -> None:
    names = {"session": make_inspected(tmp_path / "s1"), "again": make_inspected(tmp_path / "s2")}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        said = subprocess.run(
            [*COMMAND, *(word.format(**names) for word in words)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    finally:
        os.close(writer)
    assert (said.returncode, said.stderr) == (ExitCode.OK, "")


@pytest.mark.skipif(not FULL.exists(), reason="has no full device")
def test_output_that_is_lost_on_a_full_disk_is_said(tmp_path: Path) -> None:
    session = make_inspected(tmp_path / "s")
    with FULL.open("w") as full:
        said = subprocess.run(
            [*COMMAND, "inspect", str(session)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    lost = "dualtilt: the output of this command was lost: No space left on device\n"
    assert (said.returncode, said.stderr) == (ExitCode.USAGE, lost)


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """Serve a session that says nothing more."""
    service = SessionService(folder, lambda record: None)
    service.serve(RecordingEngine())
    service.publish(StateChanged(state=State.PAUSED, reason="by the operator"))
    service.flush()
    try:
        yield
    finally:
        service.close(ExitCode.OK)


@contextmanager
def making_results(folder: Path) -> Iterator[None]:
    """Hold the lock of a session, as the process does that makes its results."""
    (folder / "journal.jsonl").touch()
    with FolderLock(SessionFolder(folder)):
        yield


@contextmanager
def between_two_targets(folder: Path) -> Iterator[None]:
    """Hold the lock of a grid, as its queue does."""
    GridFolder(folder).journal.touch()
    with FolderLock(SessionFolder(folder)):
        yield


@pytest.mark.skipif(not hasattr(select, "poll"), reason="Windows tells nothing about pipes")
@pytest.mark.parametrize("work", [served, making_results, between_two_targets])
def test_attach_ends_with_its_reader_also_when_nothing_happens(
    work: Callable[[Path], AbstractContextManager[None]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    with (
        work(tmp_path),
        subprocess.Popen(
            [*COMMAND, "attach", str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as attached,
    ):
        assert attached.stdout is not None and attached.stderr is not None
        if work is not making_results:  # it shows nothing
            assert attached.stdout.readline()
        attached.stdout.close()
        assert (attached.wait(timeout=ENOUGH_S), attached.stderr.read()) == (ExitCode.OK, "")
