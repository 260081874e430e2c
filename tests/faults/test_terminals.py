"""Terminals that close and signals that come, with a session in its real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.app.start_session import InterruptedSessionError
from controller.common.exit_codes import ExitCode
from controller.session.folder import SessionFolder
from tests.support.processes import Start, kill_session, processes_of
from tests.support.simulator_session import release, write_holds, write_protocol
from tests.support.small_grid import PLACES_NM, write_grid_protocol

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

PATIENCE_S = 240.0
"""Generous limit: nothing is timed, and a busy machine is slow."""


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    return write_protocol(tmp_path, seed=7)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Folder of a session that runs in its own processes; they are killed afterwards."""
    yield tmp_path / "s"
    kill_session(tmp_path / "s")


def host(folder: Path) -> int:
    """Process of the running session."""
    return int(json.loads((folder / "run" / "service.json").read_text())["pid"])


def frames(folder: Path) -> int:
    journal = folder / "journal.jsonl"
    return journal.read_text().count('"kind":"frame-written"') if journal.exists() else 0


def last_status(folder: Path) -> Any:
    return json.loads((folder / "status.json").read_text())


def wait_for(what: Callable[[], object], watcher: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert watcher is None or watcher.poll() is None, watcher.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_terminal_leaves_the_run_and_sigterm_ends_it_safely(
    protocol: Path, folder: Path, tmp_path: Path, start: Start
) -> None:
    holds = write_holds(tmp_path, "A-011", "A-021")
    watcher = start("run", str(protocol), "--headless", "--out", str(folder), faults=holds)
    wait_for(lambda: frames(folder) >= 2, watcher)
    watcher.kill()
    watcher.communicate()

    attached = start("attach", str(folder), "--headless")
    assert attached.stdout is not None and attached.stdout.readline()  # the run is there
    wait_for(lambda: frames(folder) == 10, attached)  # and continues until it is held

    os.kill(host(folder), signal.SIGTERM)
    said, _ = attached.communicate(timeout=PATIENCE_S)
    assert attached.returncode == ExitCode.INTERRUPTED, said
    assert last_status(folder)["state"] == "stopped"
    assert last_status(folder)["beam"]["blanked"]

    release(folder, "A-011")
    resumed = start("resume", str(folder), "--headless")
    assert resumed.stdout is not None and resumed.stdout.readline()
    wait_for(lambda: frames(folder) == 20, resumed)
    ended_by_ctrl_c(resumed, folder)
    assert last_status(folder)["state"] == "stopped"
    assert last_status(folder)["beam"]["blanked"]


def test_a_session_interrupted_before_it_began_is_not_to_be_resumed(tmp_path: Path) -> None:
    """`dualtilt resume` would refuse its folder."""
    said = str(InterruptedSessionError(SessionFolder(tmp_path / "none")))
    assert said == "interrupted before the session began; the same command starts it"


@pytest.mark.parametrize("all_get_it", [False, True], ids=["the command", "all its processes"])
def test_sigterm_ends_a_run_as_ctrl_c_does(
    all_get_it: bool, protocol: Path, folder: Path, tmp_path: Path, start: Start
) -> None:
    """A batch system signals the command, a service manager each of its processes."""
    holds = write_holds(tmp_path, "A-003")
    watcher = start("run", str(protocol), "--headless", "--out", str(folder), faults=holds)
    wait_for(lambda: frames(folder) == 2, watcher)
    for pid in [watcher.pid, *(with_children(host(folder)) if all_get_it else [])]:
        os.kill(pid, signal.SIGTERM)
    said, _ = watcher.communicate(timeout=PATIENCE_S)
    assert watcher.returncode == ExitCode.INTERRUPTED, said
    assert said.splitlines()[-1] == (f"dualtilt: interrupted; `dualtilt resume {folder}` continues")
    assert not processes_of(folder)  # they would be killed now
    assert last_status(folder)["state"] == "stopped"
    assert last_status(folder)["beam"]["blanked"]

    release(folder, "A-003")
    resumed = start("resume", str(folder), "--headless")
    wait_for(lambda: frames(folder) == 3, resumed)
    ended_by_ctrl_c(resumed, folder)


@pytest.mark.parametrize("all_get_it", [False, True], ids=["the command", "all its processes"])
def test_sigterm_ends_a_grid_and_a_resume_continues_it(
    all_get_it: bool, tmp_path: Path, start: Start
) -> None:
    places_nm = {name: PLACES_NM[name] for name in ("one", "two")}
    protocol = write_grid_protocol(tmp_path, places_nm, seed=7, assemblies_nm=places_nm.values())
    grid, holds = tmp_path / "grid", write_holds(tmp_path, "A-003")
    folder = grid / "sessions" / "one"
    queue = start("run", str(protocol), "--headless", "--out", str(grid), faults=holds)
    try:
        wait_for(lambda: frames(folder) == 2, queue)
        for pid in [queue.pid, *(with_children(host(folder)) if all_get_it else [])]:
            os.kill(pid, signal.SIGTERM)
        said, _ = queue.communicate(timeout=PATIENCE_S)
        assert queue.returncode == ExitCode.INTERRUPTED, said
        assert said.splitlines()[-1].endswith(f"`dualtilt resume {grid}` continues")
        assert "Traceback" not in said
        assert not processes_of(grid)  # they would be killed now
        assert last_status(folder)["state"] == "stopped"
        assert last_status(folder)["beam"]["blanked"]
        queued = json.loads((grid / "queue-status.json").read_text())["targets"]
        assert [target["state"] for target in queued] == ["waiting", "waiting"]

        release(grid, "A-003")
        resumed = start("resume", str(grid), "--headless")
        wait_for(lambda: (grid / "sessions" / "two").exists(), resumed)  # `one` has its series A
        assert frames(folder) == 5
        ended_by_ctrl_c(resumed, grid)
    finally:
        kill_session(grid)


def test_a_closed_connection_leaves_the_session_and_names_it(
    protocol: Path, folder: Path, tmp_path: Path, start: Start
) -> None:
    holds = write_holds(tmp_path, "A-003")
    watcher = start("run", str(protocol), "--headless", "--out", str(folder), faults=holds)
    wait_for(lambda: frames(folder) >= 1, watcher)
    watcher.send_signal(signal.SIGHUP)
    said, _ = watcher.communicate(timeout=PATIENCE_S)
    assert watcher.returncode == ExitCode.INTERRUPTED, said
    assert f"the session continues: `dualtilt attach {folder}` shows it again" in said
    wait_for(lambda: frames(folder) == 2)
    os.kill(host(folder), signal.SIGTERM)
    wait_for(lambda: not processes_of(folder))
    assert last_status(folder)["state"] == "stopped"


def test_ctrl_c_before_there_is_anything_to_watch_leaves_no_session_behind(
    protocol: Path, folder: Path, start: Start
) -> None:
    watcher = start("run", str(protocol), "--headless", "--out", str(folder))
    wait_for(lambda: processes_of(folder), watcher)
    ended_by_ctrl_c(watcher, folder)
    assert frames(folder) == 0


def with_children(pid: int) -> list[int]:
    """Return a process and all that it has started, as far as they run. Linux only."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in with_children(int(child)))]


def ended_by_ctrl_c(watcher: subprocess.Popen[str], folder: Path) -> None:
    watcher.send_signal(signal.SIGINT)
    said, _ = watcher.communicate(timeout=PATIENCE_S)
    assert watcher.returncode == ExitCode.INTERRUPTED, said
    wait_for(lambda: not processes_of(folder))
