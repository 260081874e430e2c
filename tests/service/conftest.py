"""Private runtime folder for the sockets of these tests, and a served session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.model.events import Record
from controller.service.session_server import SessionService
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from tests.service.served_session import Session
from tests.support.recording_engine import RecordingEngine


@pytest.fixture(autouse=True)
def private_runtime(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Use a runtime folder without other sessions."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    log: list[Record] = []
    with FolderLock(SessionFolder(tmp_path)):
        service = SessionService(tmp_path, log.append)
        engine = RecordingEngine()
        service.serve(engine)
        yield Session(tmp_path, service, engine, log)
        service.close(ExitCode.OK)
