"""The transport against clients that break its protocol."""

from __future__ import annotations

import os
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Pyro5.errors
import pytest
from Pyro5 import protocol, serializers, socketutil
from Pyro5.callcontext import current_context
from Pyro5.server import expose

from controller.common import rpc, rpc_connection
from controller.common.connection_limits import ConnectionLimits, limits_for, open_files_limit
from controller.common.peer_user import peer_uid
from controller.common.rpc_server import TokenDaemon

TOKEN = "s3cret"
VERSION = 7
JSON_ID = 3
MARSHAL_ID = 2


@expose
class Target:
    """Remote object that answers, sometimes with an annotation."""

    def echo(self, text: str) -> str:
        return text

    def fail(self) -> str:
        current_context.response_annotations = {"PIXL": b"somebody's frame"}
        raise ValueError("no")


@contextmanager
def serving(path: Path, limits: ConnectionLimits) -> Iterator[str]:
    """Serve a `Target` at a socket; give its address."""
    daemon = TokenDaemon(TOKEN, VERSION, limits, unixsocket=str(path))
    found = daemon.register(Target(), "target")
    daemon.start()
    yield str(found)
    daemon.shutdown()


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "s", ConnectionLimits()) as found:
        yield found


def path_of(uri: str) -> str:
    return uri.partition("./u:")[2]


def still_serves(uri: str) -> bool:
    with rpc.connect(uri, TOKEN, VERSION, 60.0) as proxy:
        return bool(proxy.echo("x") == "x")


@pytest.mark.parametrize(
    ("token", "version", "message"),
    [
        pytest.param("wrong", VERSION, "wrong or missing token", id="wrong token"),
        pytest.param("", VERSION, "wrong or missing token", id="no token"),
        pytest.param(TOKEN, 6, "version 7, the client 6", id="another version"),
    ],
)
def test_wrong_token_or_version(uri: str, token: str, version: int, message: str) -> None:
    with pytest.raises(rpc.RefusedError, match=message):
        rpc.connect(uri, token, version, 5.0)
    assert still_serves(uri)


def no_socket(path: Path) -> None:
    path.unlink()


def dead_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize("end", [no_socket, dead_socket])
def test_a_server_that_is_gone_is_not_a_refusal(uri: str, end: Callable[[Path], None]) -> None:
    end(Path(path_of(uri)))
    with pytest.raises(Pyro5.errors.CommunicationError) as caught:
        rpc.connect(uri, TOKEN, VERSION, 5.0)
    assert not isinstance(caught.value, rpc.RefusedError)


def hello(flags: int, serializer: int, payload: bytes) -> bytes:
    """Return a first message as bytes, with the given flags."""
    message = protocol.SendingMessage(protocol.MSG_CONNECT, 0, 1, serializer, payload)
    head = bytearray(message.data)
    head[8:10] = flags.to_bytes(2, "big")
    return bytes(head)


GREETING = b'{"handshake": {"token": "s3cret", "version": 7}, "object": "target"}'


@dataclass(frozen=True)
class Stranger:
    name: str
    message: Callable[[], bytes]


STRANGERS = (
    Stranger(
        "a compressed message",
        lambda: hello(protocol.FLAGS_COMPRESSED, JSON_ID, zlib.compress(b" " * 50_000_000)),
    ),
    Stranger("a batch", lambda: hello(protocol.FLAGS_BATCH, JSON_ID, GREETING)),
    Stranger("a one-way call", lambda: hello(protocol.FLAGS_ONEWAY, JSON_ID, GREETING)),
    Stranger("kept serialized", lambda: hello(protocol.FLAGS_KEEPSERIALIZED, JSON_ID, GREETING)),
    Stranger("marshal", lambda: hello(0, MARSHAL_ID, b"\xfb" * 40)),
    Stranger("no Pyro at all", lambda: b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100),
    Stranger("half a message", lambda: hello(0, JSON_ID, GREETING)[:50]),
)


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_malformed_messages_get_no_service_and_do_no_harm(uri: str, stranger: Stranger) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60.0)
        sock.connect(path_of(uri))
        sock.sendall(stranger.message())
        sock.shutdown(socket.SHUT_WR)
        reply = sock.recv(1 << 16)
        assert reply == b"" or reply[6] == protocol.MSG_CONNECTFAIL
    assert still_serves(uri)


def silent(stack: ExitStack, uri: str) -> socket.socket:
    """Connect without a word."""
    sock = stack.enter_context(socket.socket(socket.AF_UNIX))
    sock.settimeout(60.0)
    sock.connect(path_of(uri))
    return sock


def read_to_end(sock: socket.socket) -> None:
    while sock.recv(1 << 16):  # a reason at most, then the end
        pass


def test_silent_connections_are_dropped_and_do_not_block(tmp_path: Path) -> None:
    limits = ConnectionLimits(unauthenticated=8, handshake_s=0.3)
    with serving(tmp_path / "s", limits) as uri, ExitStack() as stack:
        strangers = [silent(stack, uri) for _ in range(limits.unauthenticated + 4)]
        assert still_serves(uri)
        for sock in strangers:
            read_to_end(sock)
        assert still_serves(uri)


def test_a_message_that_drips_in_ends_by_its_time_limit(tmp_path: Path) -> None:
    """Each byte arrives in time, the message does not."""
    with serving(tmp_path / "s", ConnectionLimits(handshake_s=0.3)) as uri, ExitStack() as stack:
        stranger = silent(stack, uri)
        with pytest.raises(OSError, match=r"."):
            for byte in hello(0, JSON_ID, GREETING):
                stranger.sendall(bytes([byte]))
                time.sleep(0.02)


def test_an_admitted_message_that_drips_in_ends_by_its_time_limit(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc_connection, "MESSAGE_TIMEOUT_S", 0.3)
    with ExitStack() as stack:
        client = silent(stack, uri)
        client.sendall(hello(0, JSON_ID, GREETING))
        assert client.recv(1 << 16)
        request = protocol.SendingMessage(protocol.MSG_INVOKE, 0, 1, JSON_ID, b" " * 10_000).data
        with pytest.raises(OSError, match=r"."):
            for byte in request[:150]:
                client.sendall(bytes([byte]))
                time.sleep(0.02)


def test_a_reply_that_drips_in_ends_by_the_clients_time_limit() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.2)

        def drip() -> None:
            with suppress(OSError):
                for _ in range(200):
                    theirs.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(Pyro5.errors.TimeoutError):
            socketutil.receive_data(ours, 100)
        assert ours.gettimeout() == 0.2


def test_idle_clients_give_way_and_an_idle_client_is_kept_while_there_is_room(
    tmp_path: Path,
) -> None:
    limits = ConnectionLimits(admitted=3, handshake_s=0.2)
    with serving(tmp_path / "s", limits) as uri, ExitStack() as stack:
        clients = [stack.enter_context(rpc.connect(uri, TOKEN, VERSION, 60.0)) for _ in range(3)]
        time.sleep(0.4)
        assert clients[0].echo("still here") == "still here"  # no longer the longest idle one
        newcomers = [stack.enter_context(rpc.connect(uri, TOKEN, VERSION, 60.0)) for _ in range(2)]
        assert [newcomer.echo("in") for newcomer in newcomers] == ["in", "in"]
        assert clients[0].echo("kept") == "kept"
        for client in clients[1:]:
            with pytest.raises(Pyro5.errors.CommunicationError):
                client.echo("gone")


def test_a_client_that_asks_nothing_is_disconnected_after_the_idle_time(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "s", ConnectionLimits(idle_s=0.2)) as uri,
        rpc.connect(uri, TOKEN, VERSION, 60.0) as proxy,
    ):
        proxy._pyroLocalSocket  # noqa: B018 -- bound
        read_to_end(proxy._pyroConnection.sock)
        with pytest.raises(Pyro5.errors.CommunicationError):
            proxy.echo("too late")
        assert still_serves(uri)


@pytest.mark.skipif(not hasattr(socket, "TCP_KEEPIDLE"), reason="named otherwise on this system")
def test_a_client_that_vanished_is_noticed_by_keepalive() -> None:
    kept: list[int] = []

    class Noting(TokenDaemon):
        def check_client(self, connection: Any, given: dict[str, Any]) -> None:
            sock = connection.sock
            kept.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
            kept.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    daemon = Noting(TOKEN, VERSION, ConnectionLimits(), host="127.0.0.1")
    uri = str(daemon.register(Target(), "target"))
    daemon.start()
    assert still_serves(uri)
    assert kept == [1, 30]
    daemon.shutdown()


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="asks Linux for the user")
def test_the_user_at_the_other_end_is_known() -> None:
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert peer_uid(here) == os.geteuid()
    with socket.socket(socket.AF_INET) as remote:
        assert peer_uid(remote) is None


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(RuntimeError("can't start new thread"), id="no thread"),
        pytest.param(MemoryError(), id="no memory"),
        pytest.param(OSError(24, "Too many open files"), id="no file"),
        pytest.param(ValueError("anything else"), id="an error nobody foresaw"),
    ],
)
def test_the_accept_loop_outlives_what_one_connection_does(
    uri: str, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    start = threading.Thread.start
    refused = []

    def start_or_fail(thread: threading.Thread) -> None:
        if "_serve_connection" in thread.name and not refused:
            refused.append(thread)
            raise fault
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)
    with ExitStack() as stack:
        read_to_end(silent(stack, uri))
        assert len(refused) == 1
        assert still_serves(uri)


@pytest.mark.parametrize(
    ("descriptors", "unauthenticated", "admitted"),
    [
        pytest.param(64, 10, 20, id="few"),
        pytest.param(256, 58, 116, id="a Mac's"),
        pytest.param(1024, 64, 128, id="usual"),
        pytest.param(10, 2, 4, id="hardly any"),
    ],
)
def test_connections_are_limited_from_the_files_that_may_be_open(
    descriptors: int, unauthenticated: int, admitted: int
) -> None:
    limits = limits_for(descriptors)
    assert (limits.unauthenticated, limits.admitted) == (unauthenticated, admitted)
    assert open_files_limit() > 0


def test_no_annotation_outlives_its_call(uri: str) -> None:
    with rpc.connect(uri, TOKEN, VERSION, 60.0) as proxy:
        with pytest.raises(ValueError, match="no"):
            proxy.fail()
        proxy.echo("next")
        assert "PIXL" not in current_context.response_annotations


def test_one_serializer_is_left() -> None:
    assert list(serializers.serializers) == ["json"]
    assert list(serializers.serializers_by_id) == [JSON_ID]
