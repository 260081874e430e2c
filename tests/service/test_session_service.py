"""A service and its clients over a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from controller.app.cli.main import main
from controller.common import connection_counts, rpc_connection
from controller.common.connection_limits import ConnectionLimits
from controller.common.errors import DualtiltError, UsageError
from controller.common.exit_codes import ExitCode
from controller.common.runtime_folder import runtime_folder
from controller.model.commands import Answer, StopWhen
from controller.model.events import PreviewReady, PromptOpened, Record, State, StateChanged
from controller.service import event_text, session_client, session_server, status_text
from controller.service.service_address import ADDRESS_FILE, read_address
from controller.service.session_client import (
    ServiceClient,
    SessionGoneError,
    find_sessions,
    last_status,
    the_only_session,
)
from controller.service.session_server import SessionService
from tests.support import scripted_session as script
from tests.support.recording_engine import RecordingEngine

NO_PROCESS = 2**22 + 1
"""Larger than any process id of Linux."""


@dataclass
class Session:
    folder: Path
    service: SessionService
    engine: RecordingEngine
    log: list[Record]

    def publish_all(self, events: Iterator[object]) -> None:
        for event in events:
            self.service.publish(event)  # type: ignore[arg-type]
        wait_until(lambda: self.service.store.status.seq == self.log_seq())

    def log_seq(self) -> int:
        return self.service._next_seq - 1


def wait_until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    log: list[Record] = []
    service = SessionService(tmp_path, log.append)
    engine = RecordingEngine()
    service.serve(engine)
    yield Session(tmp_path, service, engine, log)
    service.close(ExitCode.OK)


def test_publishing_never_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[Record] = []
    service = SessionService(tmp_path, log.append)

    def refuse(item: object) -> None:
        raise MemoryError

    def refuse_to_log(*_: object) -> None:
        raise ValueError("I/O operation on closed file")

    with monkeypatch.context() as broken:
        broken.setattr(service, "_queue", SimpleNamespace(put=refuse))
        service.publish(StateChanged(state=State.RUNNING))
        broken.setattr(session_server._log, "exception", refuse_to_log)
        service.publish(StateChanged(state=State.RUNNING))
    service.publish(StateChanged(state=State.PAUSED, reason="later"))
    service.close(ExitCode.OK)
    assert [record.event.reason for record in log] == ["later"]  # type: ignore[union-attr]


def test_a_listener_that_fails_stops_no_later_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[Record] = []
    service = SessionService(tmp_path, log.append)

    def fail(record: Record, status: object) -> None:
        raise RuntimeError("a listener's own mistake")

    service.listeners.append(fail)
    monkeypatch.setattr(session_server._log, "exception", fail)  # a thread must not end by this
    for reason in ("one", "two"):
        service.publish(StateChanged(state=State.PAUSED, reason=reason))
    service.close(ExitCode.OK)
    assert [record.event.reason for record in log] == ["one", "two"]  # type: ignore[union-attr]


def test_a_client_sees_what_was_published(session: Session) -> None:
    session.publish_all(script.whole(session.folder))
    with ServiceClient.connect(session.folder) as client:
        status = client.status()
        records = client.events_after(-1) + client.events_after(499)
    assert status == session.service.store.status
    assert status.state is State.FINISHED
    assert [record.seq for record in records] == list(range(len(session.log)))
    assert records == session.log


def test_a_waiting_client_is_woken_by_an_event(session: Session) -> None:
    session.publish_all(iter([StateChanged(state=State.RUNNING)]))
    with ServiceClient.connect(session.folder) as client:
        assert client.events_after(0) == []
        session.service.publish(StateChanged(state=State.PAUSED, reason="asked"))
        [record] = client.events_after(0, wait_s=5.0)
    assert record.event == StateChanged(state=State.PAUSED, reason="asked")


def test_commands_reach_the_engine(session: Session) -> None:
    session.publish_all(iter([PromptOpened(prompt=script.FLIP_PROMPT)]))
    with ServiceClient.connect(session.folder) as client:
        client.pause()
        client.stop(StopWhen.AT_END_OF_SERIES)
        client.answer(Answer(prompt_id="flip", value="done"))
        client.go_on()
        session.engine.refusal = "not in a move"
        with pytest.raises(UsageError, match="not in a move"):
            client.pause()
    answer = Answer(prompt_id="flip", value="done")
    assert session.engine.commands == ["pause", StopWhen.AT_END_OF_SERIES, answer, "go on"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        pytest.param(Answer(prompt_id="flip", value="done"), "not 'flip'", id="another prompt"),
        pytest.param(
            Answer(prompt_id="flip-check", value="yes"), "not a choice", id="not a choice"
        ),
        pytest.param(
            Answer(prompt_id="flip-check", value="override", reason=" "), "reason", id="no reason"
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(
    session: Session, answer: Answer, message: str
) -> None:
    session.publish_all(iter([PromptOpened(prompt=script.FLIP_CHECK_PROMPT)]))
    with (
        ServiceClient.connect(session.folder) as client,
        pytest.raises(UsageError, match=message),
    ):
        client.answer(answer)
    assert session.engine.commands == []


def test_read_only_clients_cannot_command(session: Session) -> None:
    with ServiceClient.connect(session.folder, read_only=True) as client:
        assert client.status() == session.service.store.status
        with pytest.raises(UsageError, match="read-only"):
            client.pause()
    assert session.engine.commands == []


def test_many_clients_at_once(session: Session) -> None:
    session.publish_all(script.preflight())
    clients = [ServiceClient.connect(session.folder) for _ in range(12)]
    assert {client.status().seq for client in clients} == {session.log_seq()}
    for client in clients:
        client.close()


def test_pictures_come_reduced_to_the_size_asked_for(session: Session) -> None:
    session.publish_all(script.write_previews(session.folder))
    with ServiceClient.connect(session.folder) as client:
        whole = client.picture("frame", 1000)
        small = client.picture("frame", 64)
        unknown = client.picture("no-such-view", 64)
    assert whole is not None and small is not None and unknown is None
    np.testing.assert_array_equal(whole, script.picture(176, 8.0))
    assert small.shape == (58, 58)
    assert abs(float(small.mean()) - float(whole[:174, :174].mean())) < 1.0


@pytest.mark.parametrize("path", ["../outside.npy", "previews/missing.npy", "previews/text.npy"])
def test_an_unreadable_picture_is_none(session: Session, path: str) -> None:
    np.save(session.folder.parent / "outside.npy", script.picture(32))
    (session.folder / "previews").mkdir()
    (session.folder / "previews" / "text.npy").write_text("no picture")
    session.publish_all(iter([PreviewReady(view="frame", path=path)]))
    with ServiceClient.connect(session.folder) as client:
        assert client.picture("frame", 64) is None


def test_exit_code_and_reason_are_on_disk_after_the_end(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").touch()
    service = SessionService(tmp_path, lambda record: None)
    service.serve(RecordingEngine())
    client = ServiceClient.connect(tmp_path)
    service.publish(StateChanged(state=State.FAILED, reason="the flip was refused"))
    service.close(ExitCode.SAFETY)
    with pytest.raises(SessionGoneError, match="process is gone"):
        client.status()
    status = last_status(tmp_path)
    assert status is not None
    assert (status.exit_code, status.reason) == (ExitCode.SAFETY, "the flip was refused")
    with pytest.raises(UsageError, match="dualtilt resume"):
        ServiceClient.connect(tmp_path)


def test_a_resumed_session_continues_the_sequence_numbers(tmp_path: Path) -> None:
    past = script.records(script.preflight())
    log: list[Record] = []
    service = SessionService(tmp_path, log.append, past)
    service.publish(StateChanged(state=State.RUNNING))
    service.close(ExitCode.OK)
    assert [record.seq for record in log] == [len(past)]
    assert len(service.store.status.checks) == len(past) - 3  # all but phase, state and beam


def test_a_full_disk_does_not_reach_the_engine(tmp_path: Path) -> None:
    def full(record: Record) -> None:
        raise OSError(28, "No space left on device")

    service = SessionService(tmp_path, full)
    service.publish(StateChanged(state=State.RUNNING))
    service.close(ExitCode.OK)
    assert service.store.status.state is State.RUNNING


def test_sessions_are_found_without_naming_them(session: Session, tmp_path: Path) -> None:
    assert the_only_session() == session.folder
    second = SessionService(tmp_path / "second", lambda record: None)
    (tmp_path / "second").mkdir()
    second.serve(RecordingEngine())
    assert sorted(find_sessions()) == sorted([session.folder, tmp_path / "second"])
    with pytest.raises(UsageError, match="2 sessions are running"):
        the_only_session()
    second.close(ExitCode.OK)
    assert find_sessions() == [session.folder]


def test_the_command_of_an_answer_names_the_session_while_two_run(
    session: Session, tmp_path: Path
) -> None:
    records: list[Record] = []
    folder = tmp_path / "of two"
    folder.mkdir()
    second = SessionService(folder, records.append)
    second.serve(RecordingEngine())
    opened = PromptOpened(prompt=script.FLIP_PROMPT)
    second.publish(opened)
    second.flush()
    second.close(ExitCode.OK)
    status = second.store.status
    assert status.prompt is not None
    command = status_text.answer_command(status.prompt, "done")
    assert command == f"dualtilt answer flip done --session '{folder}'"
    assert f"done | stop --session '{folder}'" in event_text.event_line(records[-1])


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"token": "0" * 32}, "token", id="wrong token"),
        pytest.param({"token": ""}, "token", id="no token"),
    ],
)
def test_a_client_without_the_token_is_refused(
    session: Session, change: dict[str, str], message: str
) -> None:
    file = session.folder / ADDRESS_FILE
    address = ServiceClient.connect(session.folder).address.model_copy(update=change)
    file.write_text(address.model_dump_json())
    with pytest.raises(UsageError, match=message):
        ServiceClient.connect(session.folder)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(ConnectionLimits(), id="as many as fit"),
        pytest.param(ConnectionLimits(unauthenticated=4, admitted=8), id="few fit"),
    ],
)
def test_idle_clients_do_not_lock_out_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: ConnectionLimits
) -> None:
    monkeypatch.setattr(session_server, "limits_for", lambda *_: limits)
    service, engine = SessionService(tmp_path, lambda record: None), RecordingEngine()
    path = Path(service.serve(engine).location.removeprefix("./u:"))
    with ExitStack() as stack:
        for _ in range(40):
            stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
            stranger.connect(str(path))
            stack.enter_context(ServiceClient.connect(tmp_path, read_only=True))
        assert main(["stop", str(tmp_path)]) == ExitCode.OK
    assert engine.commands == [StopWhen.AFTER_TILT]
    service.close(ExitCode.OK)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="asks Linux for the user")
@pytest.mark.parametrize("admitted", [False, True], ids=["before the handshake", "after it"])
def test_idle_clients_of_another_user_do_not_lock_out_the_owners_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, admitted: bool
) -> None:
    """Another user's connections fill their own limit; none of the owner's is closed for them."""
    limits = ConnectionLimits(unauthenticated=20, admitted=20, per_other_user=4, handshake_s=60.0)
    monkeypatch.setattr(session_server, "limits_for", lambda *_: limits)
    service, engine = SessionService(tmp_path, lambda record: None), RecordingEngine()
    path = Path(service.serve(engine).location.removeprefix("./u:"))
    with ExitStack() as stack:
        screen = stack.enter_context(ServiceClient.connect(tmp_path, read_only=True))
        with monkeypatch.context() as another_user:
            accepted: list[int] = []

            def stranger_uid(sock: socket.socket) -> int:
                accepted.append(sock.fileno())
                return 12345

            another_user.setattr(connection_counts, "peer_uid", stranger_uid)
            another_user.setattr(rpc_connection, "peer_uid", lambda sock: 12345)
            for _ in range(30):
                if admitted:
                    stack.enter_context(ServiceClient.connect(tmp_path, read_only=True))
                else:
                    stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
                    stranger.connect(str(path))
            daemon: Any = service._daemon
            counted = (
                daemon._admitted._connections if admitted else daemon._unauthenticated._counted
            )
            wait_until(lambda: len(accepted) == 30)
            wait_until(lambda: [c.uid for c in list(counted.values())].count(12345) == 4)
        assert main(["stop", str(tmp_path)]) == ExitCode.OK
        assert screen.status().state is State.READY
    assert engine.commands == [StopWhen.AFTER_TILT]
    service.close(ExitCode.OK)


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


def test_address_and_socket_are_private(session: Session) -> None:
    file = session.folder / ADDRESS_FILE
    socket = Path(ServiceClient.connect(session.folder).address.location.removeprefix("./u:"))
    assert file.stat().st_mode & 0o077 == 0
    assert socket.parent.stat().st_mode & 0o077 == 0
