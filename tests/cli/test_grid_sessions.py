"""Sessions of a grid whose queue was killed: the next queue follows those that have survived."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.app import grid_sessions
from controller.app.grid_sessions import GridSessions
from controller.common.exit_codes import ExitCode
from controller.service.session_status import SessionStatus
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from controller.session.grid_folder import GridFolder
from tests.support.small_grid import PLACES_NM, write_grid_protocol

SURVIVES, ENDS = "it survives", "it ends"


@pytest.mark.parametrize(("then", "runs"), [(SURVIVES, ["watch"]), (ENDS, ["start", "watch"])])
def test_a_session_that_is_just_starting_is_no_fault(
    then: str, runs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = write_grid_protocol(tmp_path, PLACES_NM, seed=7)
    (tmp_path / "grid").mkdir()
    grid = GridFolder(tmp_path / "grid")
    grid.protocol.write_text(protocol.read_text())
    folder = SessionFolder.create(grid.target("one").path, 'target = "one"\n')
    lock, seen, done = FolderLock(folder), [0], []

    def is_served(_: SessionFolder) -> bool:
        seen[0] += 1
        if seen[0] == 3 and then == ENDS:
            lock.release()
        return seen[0] > 3 and then == SURVIVES

    monkeypatch.setattr(grid_sessions, "_is_served", is_served)
    monkeypatch.setattr(grid_sessions, "FOLLOW_INTERVAL_S", 0.0)
    monkeypatch.setattr(grid_sessions, "start", lambda *_: done.append("start"))
    monkeypatch.setattr(grid_sessions, "watch", lambda *_, **__: done.append("watch"))
    monkeypatch.setattr(grid_sessions, "exit_code_of", lambda _: ExitCode.OK)
    monkeypatch.setattr(
        grid_sessions, "last_status", lambda _: SessionStatus(exit_code=ExitCode.OK)
    )
    sessions = GridSessions(grid, grid.read_protocol(), None, headless=True)
    assert sessions.run_target("one").exit_code == ExitCode.OK
    assert done == runs
    if then == SURVIVES:
        lock.release()
