"""Fixture: a running session in series A."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.common.exit_codes import ExitCode
from controller.service.session_server import SessionService
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine
from tests.tui.sessions import Session


@pytest.fixture
def session(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    service = SessionService(tmp_path, lambda record: None)
    engine = RecordingEngine()
    service.serve(engine)
    session = Session(tmp_path, service, engine)
    session.publish(script.started(tmp_path), *script.preflight(), *script.series("A", 5))
    yield session
    service.close(ExitCode.OK)
