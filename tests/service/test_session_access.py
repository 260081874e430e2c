"""Clients that a session refuses, and those that it serves beside them."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from controller.app.cli.main import main
from controller.common import connection_counts, rpc_connection
from controller.common.connection_limits import ConnectionLimits
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.model.commands import StopWhen
from controller.model.events import State
from controller.service import session_server
from controller.service.service_address import ADDRESS_FILE
from controller.service.session_client import ServiceClient
from controller.service.session_server import SessionService
from tests.service.served_session import Session, wait_until
from tests.support.recording_engine import RecordingEngine


def test_read_only_clients_cannot_command(session: Session) -> None:
    with ServiceClient.connect(session.folder, read_only=True) as client:
        assert client.status() == session.service.store.status
        with pytest.raises(UsageError, match="read-only"):
            client.pause()
    assert session.engine.commands == []


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


def test_address_and_socket_are_private(session: Session) -> None:
    file = session.folder / ADDRESS_FILE
    socket = Path(ServiceClient.connect(session.folder).address.location.removeprefix("./u:"))
    assert file.stat().st_mode & 0o077 == 0
    assert socket.parent.stat().st_mode & 0o077 == 0
