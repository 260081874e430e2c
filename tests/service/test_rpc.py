"""The transport against clients that break its protocol."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import Pyro5.errors
import pytest
from Pyro5 import protocol, serializers
from Pyro5.callcontext import current_context
from Pyro5.server import expose

from controller.common import rpc

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


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    daemon = rpc.TokenDaemon(TOKEN, VERSION, unixsocket=str(tmp_path / "s"))
    found = daemon.register(Target(), "target")
    threading.Thread(target=daemon.requestLoop, daemon=True).start()
    yield str(found)
    daemon.shutdown()


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


def test_silent_connections_are_dropped_and_do_not_block(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pyro5.config, "COMMTIMEOUT", 0.3)
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(rpc.THREADS + 4)
        ]
        for sock in silent:
            sock.settimeout(60.0)
            sock.connect(path_of(uri))
        for sock in silent:
            while sock.recv(1 << 16):  # a reason at most, then the end
                pass
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        try:
            assert still_serves(uri)
            return
        except Pyro5.errors.CommunicationError:
            time.sleep(0.05)
    pytest.fail("no client is accepted any more")


def test_an_idle_client_is_kept(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyro5.config, "COMMTIMEOUT", 0.5)
    with rpc.connect(uri, TOKEN, VERSION, 60.0) as proxy:
        time.sleep(1.2)
        assert proxy.echo("still here") == "still here"


def test_no_annotation_outlives_its_call(uri: str) -> None:
    with rpc.connect(uri, TOKEN, VERSION, 60.0) as proxy:
        with pytest.raises(ValueError, match="no"):
            proxy.fail()
        proxy.echo("next")
        assert "PIXL" not in current_context.response_annotations


def test_one_serializer_is_left() -> None:
    assert list(serializers.serializers) == ["json"]
    assert list(serializers.serializers_by_id) == [JSON_ID]
