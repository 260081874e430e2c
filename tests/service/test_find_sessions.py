"""Sessions of this machine, found by the verbs: one, two, killed, deaf or none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from controller.app.cli.main import main
from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.common.runtime_folder import runtime_folder
from controller.model.commands import Answer
from controller.model.events import Event, PromptOpened, Record, State, StateChanged
from controller.service import event_text, session_client, status_text
from controller.service.remote_objects import check_answer
from controller.service.service_address import ADDRESS_FILE, read_address
from controller.service.session_client import (
    ServiceClient,
    SessionGoneError,
    find_sessions,
    others_run,
    the_only_session,
)
from controller.service.session_server import SessionService
from controller.service.session_status import SessionStatus
from controller.session.folder import SessionFolder
from controller.session.folder_lock import FolderLock
from tests.service.served_session import Session
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine

NO_PROCESS = 2**22 + 1
"""Larger than any process id of Linux."""


def test_sessions_are_found_without_naming_them(
    session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert the_only_session() == session.folder
    (tmp_path / "second").mkdir()
    (tmp_path / "other").mkdir()
    with FolderLock(SessionFolder(tmp_path / "second")):
        second = SessionService(tmp_path / "other" / ".." / "second", lambda record: None)
        second.serve(RecordingEngine())
        found = {folder.resolve() for folder in find_sessions()}
        assert found == {session.folder.resolve(), tmp_path / "second"}
        with pytest.raises(UsageError, match="2 sessions are running") as caught:
            the_only_session()
        assert f" {tmp_path / 'second'}" in str(caught.value)
        assert main(["answer", "flip", "done"]) == ExitCode.USAGE
        said = capsys.readouterr().err
        assert f"--session {tmp_path / 'second'}" in said
        assert f"--session {session.folder.resolve()}" in said
        second.close(ExitCode.OK)
    assert find_sessions() == [session.folder]


def published_by_a_second_session(folder: Path, event: Event) -> tuple[SessionStatus, Record]:
    """Return status and record of an event of a session that runs in a folder beside another."""
    records: list[Record] = []
    folder.mkdir()
    second = SessionService(folder, records.append)
    second.serve(RecordingEngine())
    second.publish(event)
    second.flush()
    second.close(ExitCode.OK)
    return second.store.status, records[-1]


def test_the_command_of_an_answer_names_the_session_while_two_run(
    session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "of two"
    opened = PromptOpened(prompt=script.FLIP_PROMPT)
    status, record = published_by_a_second_session(folder, opened)
    assert status.prompt is not None
    command = status_text.answer_command(status.prompt, "done")
    assert command == f"dualtilt answer flip done --session '{folder}'"
    assert f"done | stop --session '{folder}'" in event_text.event_line(record)


def test_the_command_that_ends_a_pause_names_the_session_while_two_run(
    session: Session, tmp_path: Path
) -> None:
    folder = tmp_path / "of two"
    paused = StateChanged(state=State.PAUSED, reason="valves closed")
    status, record = published_by_a_second_session(folder, paused)
    command = f"dualtilt pause '{folder}' --go-on"
    assert f"(end the pause: {command})" in event_text.plain_line(record)
    answer = Answer(prompt_id="flip", value="done")
    assert check_answer(status, answer).endswith(f": {command}")


def test_the_command_of_an_answer_names_no_session_that_runs_alone(session: Session) -> None:
    session.publish_all(iter([PromptOpened(prompt=script.FLIP_PROMPT)]))
    prompt = session.service.store.status.prompt
    assert prompt is not None
    assert status_text.answer_command(prompt, "done") == "dualtilt answer flip done"


def test_a_killed_run_is_not_a_second_session(session: Session) -> None:
    here = read_address(session.folder)
    # address left by a run killed with -9, in a folder with a new run
    stale = runtime_folder() / "killed.session.json"
    stale.write_text(here.model_copy(update={"pid": NO_PROCESS}).model_dump_json())
    assert find_sessions() == [session.folder]
    assert not stale.exists()


def test_a_killed_run_is_no_session_whoever_has_its_process_id_now(
    session: Session, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "lock").write_text(f"{os.getpid()}\n")  # nobody holds it
    address = read_address(session.folder).model_copy(update={"folder": killed})
    (runtime_folder() / "killed.session.json").write_text(address.model_dump_json())
    assert find_sessions() == [session.folder]
    assert not others_run(session.folder)


def test_a_folder_that_was_removed_under_its_session_is_no_choice(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    address = read_address(session.folder).model_copy(update={"folder": gone})
    (runtime_folder() / "gone.session.json").write_text(address.model_dump_json())
    assert the_only_session() == session.folder
    monkeypatch.chdir(tmp_path)
    for named in (gone, Path("gone")):
        with pytest.raises(UsageError) as caught:
            ServiceClient.connect(named)
        assert "was removed or renamed while its session runs" in str(caught.value)
        assert f"kill {address.pid}" in str(caught.value)


def test_a_session_that_died_is_not_resumed_from_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert "put it back to resume" in str(SessionGoneError(tmp_path / "gone"))
    assert f"dualtilt resume {tmp_path}" in str(SessionGoneError(tmp_path))


def test_no_session_is_one_line_of_error(tmp_path: Path) -> None:
    ended, empty = tmp_path / "ended", tmp_path / "empty"
    for folder in (ended, empty):
        folder.mkdir()
    (ended / "journal.jsonl").touch()
    cases = {
        ended: "dualtilt resume",
        empty: "holds no session",
        tmp_path / "nowhere": "no such session folder",
    }
    for folder, message in cases.items():
        with pytest.raises(DualtiltError, match=message):
            ServiceClient.connect(folder)
    with pytest.raises(UsageError, match="no session is running"):
        the_only_session()


def test_a_session_that_lets_nobody_in_is_not_called_ended(
    session: Session, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session_client, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(session_client, "RETRY_AFTER_S", 0.0)
    with socket.socket(socket.AF_UNIX) as deaf:
        path = runtime_folder() / "deaf.sock"
        deaf.bind(str(path))
        deaf.listen()
        for file in (session.folder / ADDRESS_FILE, *runtime_folder().glob("*.session.json")):
            address = read_address(session.folder).model_copy(update={"location": f"./u:{path}"})
            file.write_text(address.model_dump_json())
        assert main(["stop"]) == ExitCode.BRIDGE
    said = capsys.readouterr().err
    assert f"a session runs here (process {os.getpid()}) but does not answer" in said
    assert f"kill {os.getpid()}" in said
