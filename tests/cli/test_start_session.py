"""A started session is not lost by a refused client or by files in the current folder."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.app import start_session
from controller.app.cli.main import main
from controller.app.start_session import EndedEarlyError, UnwatchedError, start_and_watch
from controller.common.exit_codes import ExitCode
from controller.service.service_address import ServiceAddress, read_address
from controller.service.session_client import NotAnsweringError, ServiceClient
from controller.service.session_status import SessionStatus
from controller.session.folder import SessionFolder
from tests.support.processes import kill_session, python
from tests.support.simulator_session import write_protocol

pytestmark = pytest.mark.skipif(os.name != "posix", reason="reads /proc")

PATIENCE_S = 240.0
SHADOWS = ("controller.py", "processing.py", "simulator.py", "numpy.py", "textual.py")


@pytest.fixture(autouse=True)
def private_runtime(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "s"
    kill_session(tmp_path / "s")


def protocol_without_answers(folder: Path) -> Path:
    """Write a protocol whose session waits at the flip, so that it does not end."""
    path = write_protocol(folder, seed=7)
    answered = "answers_itself = true"
    assert answered in path.read_text()
    path.write_text(path.read_text().replace(answered, "answers_itself = false"))
    return path


def session_pid(folder: Path) -> int:
    return read_address(folder).pid


def status_of(folder: Path) -> SessionStatus:
    with ServiceClient.connect(folder, read_only=True) as session:
        return session.status()


def test_an_unwatched_session_is_named_with_one_way_to_end_it(tmp_path: Path) -> None:
    address = ServiceAddress(folder=tmp_path, location="", token="", pid=4711, version=1)
    silent = NotAnsweringError(address, "receiving: timeout")
    said = str(UnwatchedError(SessionFolder(tmp_path), 4711, silent))
    assert said.count("kill 4711") == 1
    assert f"dualtilt attach {tmp_path}" in said


def test_resume_uses_the_bridge_of_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = (
        'name = "x"\n[column]\nkind = "bridge"\n'
        "[scan]\nwidth_px = 64\nheight_px = 64\npixel_nm = 1.0\ndwell_us = 1.0\n"
    )
    folder, gone = SessionFolder.create(tmp_path / "s", protocol), tmp_path / "gone.json"
    monkeypatch.setattr(start_session, "READY_WITHIN_S", 0.2)
    with pytest.raises(EndedEarlyError):
        start_and_watch(folder, gone, headless=True)
    folder.journal.touch()
    assert main(["resume", str(folder.path), "--headless"]) == ExitCode.USAGE
    assert f"--bridge {gone}: no such connection file" in capsys.readouterr().err


def test_a_session_that_is_not_ready_in_time_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SessionFolder.create(tmp_path / "s", write_protocol(tmp_path, seed=7).read_text())
    monkeypatch.setattr(start_session, "READY_WITHIN_S", 0.2)
    monkeypatch.setattr(start_session, "SAID_AFTER_S", 0.0)
    with pytest.raises(EndedEarlyError, match="close other programs and try again") as caught:
        start_and_watch(folder, None, headless=True)
    assert caught.value.exit_code is ExitCode.BRIDGE
    assert capsys.readouterr().err.count("still starting") == 1


OF_ANOTHER_VERSION = """
import sys
from controller.app import start_session
from controller.app.cli.main import main
from controller.service import session_client
session_client.VERSION += 1
start_session.ENDED_WITHIN_S = 1.0
sys.exit(main(sys.argv[1:]))
"""


def test_a_session_that_refuses_its_client_continues_and_is_named(
    folder: Path, tmp_path: Path
) -> None:
    protocol = protocol_without_answers(tmp_path)
    words = ("run", str(protocol), "--headless", "--out", str(folder))
    with python("-c", OF_ANOTHER_VERSION, *words, stderr=subprocess.PIPE) as starter:
        _, said = starter.communicate(timeout=PATIENCE_S)
    assert starter.returncode == ExitCode.BRIDGE, said
    assert "use the same dualtilt on both sides" in said and f"attach {folder}" in said
    assert f"`kill {session_pid(folder)}`" in said
    assert not status_of(folder).ended


def test_files_in_the_current_folder_do_not_replace_modules(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = protocol_without_answers(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    for name in SHADOWS:
        (data / name).write_text("raise SystemExit('a file of the user was run')\n")
    words = ("controller.app.cli.main", "run", str(protocol), "--headless", "--out", str(folder))
    with python("-P", "-m", *words, cwd=data) as watcher:
        wait_for_judged_tilt(folder, watcher)

        # resuming a running session is refused; the session keeps its log and still answers
        log = folder / "run" / "session.log"
        with log.open("a") as file:
            file.write("a line of the running session\n")
        assert main(["resume", str(folder), "--headless"]) == ExitCode.USAGE
        assert "another run is using this folder" in capsys.readouterr().err
        assert "a line of the running session\n" in log.read_text()
        assert not status_of(folder).ended


def wait_for_judged_tilt(folder: Path, watcher: subprocess.Popen[str]) -> None:
    """Wait until session, bridge and worker all run."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert watcher.poll() is None
        if (folder / "run" / "service.json").exists():
            tilts = status_of(folder).series["A"].tilts
            if any(tilt.residual_px is not None for tilt in tilts):
                return
        time.sleep(0.1)
    raise AssertionError("no tilt was judged")
