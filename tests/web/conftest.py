"""Fixtures: a running session with pictures, and its lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.events import State, StateChanged
from controller.service.session_server import SessionService
from controller.session.event_log import EventLog
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[FolderLock]:
    """The lock that the session's process holds."""
    with FolderLock(SessionFolder(tmp_path)) as held:
        yield held


@pytest.fixture
def session(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    lock: FolderLock,
) -> Iterator[SessionService]:
    """A running session in `tmp_path`, paused after five tilts of A, with pictures."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    log = EventLog(tmp_path / "events.jsonl")
    service = SessionService(tmp_path, log.append)
    service.serve(RecordingEngine())
    for event in (script.started(tmp_path), *script.preflight(), *script.series("A", 5)):
        service.publish(event)
    for event in script.write_previews(tmp_path):
        service.publish(event)
    service.publish(StateChanged(state=State.PAUSED, reason="valves closed"))
    yield service
    service.close(ExitCode.OK)
    log.close()
