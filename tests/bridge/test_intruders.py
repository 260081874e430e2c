"""Unknown clients are refused, and nothing they send disturbs the session."""

from __future__ import annotations

import json
import random
import socket
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from Pyro5 import protocol

from controller.bridge.bridge_address import BridgeAddress, BridgeRefusedError
from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.wire_messages import PROTOCOL_VERSION
from controller.common.connection_counts import UnauthenticatedConnections
from controller.common.connection_limits import ConnectionLimits
from controller.common.rpc_connection import HANDSHAKE_LIMIT_BYTES, REQUEST_LIMIT_BYTES
from tests.bridge.mutations import STATUS, mutated
from tests.bridge.peer import Peer, message
from tests.bridge.rig import SCAN, Rig, open_rig, resident_bytes

MARSHAL_ID, SERPENT_ID = 2, 1
MEMORY_BOUND_BYTES = 200 << 20


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with open_rig() as rig:
        yield rig


@pytest.mark.parametrize(
    ("greeting", "said"),
    [
        pytest.param({"token": "guess"}, "token", id="wrong secret"),
        pytest.param({"token": ""}, "token", id="empty secret"),
        pytest.param({"token": None}, "token", id="no secret"),
        pytest.param({"token": ["x"]}, "token", id="secret of another type"),
        pytest.param({"version": 99}, str(PROTOCOL_VERSION), id="version mismatch: ours named"),
        pytest.param({"version": 99}, "99", id="version mismatch: theirs named"),
        pytest.param({"version": None}, "version", id="no version"),
    ],
)
def test_handshake_refused(rig: Rig, greeting: dict[str, Any], said: str) -> None:
    with Peer(rig.address) as peer:
        kind, answer = peer.greet(**greeting)
        assert kind == protocol.MSG_CONNECTFAIL
        assert said in answer
        assert peer.hung_up()
    assert rig.audited("refused")


def test_a_client_with_an_old_secret_is_told_in_one_line(rig: Rig, tmp_path: Path) -> None:
    stale = tmp_path / "old.secret"
    stale.touch(mode=0o600)
    stale.write_text("from yesterday")
    address: BridgeAddress = rig.address.model_copy(update={"secret_path": stale})
    with pytest.raises(BridgeRefusedError, match="token") as caught:
        RemoteMicroscope(address, "stale")
    assert "\n" not in str(caught.value)


AFTER_HANDSHAKE = {
    "compressed": message(zlib.compress(STATUS), flags=protocol.FLAGS_COMPRESSED),
    "compressed bomb": message(zlib.compress(b" " * (50 << 20)), flags=protocol.FLAGS_COMPRESSED),
    "batch": message(STATUS, flags=protocol.FLAGS_BATCH),
    "one-way": message(STATUS, flags=protocol.FLAGS_ONEWAY),
    "kept serialized": message(STATUS, flags=protocol.FLAGS_KEEPSERIALIZED),
    "marshal": message(b"\xfb" * 40, serializer_id=MARSHAL_ID),
    "serpent": message(b"# serpent\n(1,)", serializer_id=SERPENT_ID),
    "unknown serializer": message(STATUS, serializer_id=200),
    "too long": message(b"x" * 10, declared_bytes=REQUEST_LIMIT_BYTES + 1),
    "endless": message(b"x" * 10, declared_bytes=0xFFFFFFFF),
    "another kind": message(STATUS, kind=protocol.MSG_RESULT),
    "a second handshake": message(STATUS, kind=protocol.MSG_CONNECT),
    "another protocol": b"GET / HTTP/1.1\r\nHost: bridge\r\n\r\n" + b" " * 64,
    "noise": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("data", AFTER_HANDSHAKE.values(), ids=AFTER_HANDSHAKE)
def test_malformed_message_ends_its_connection_only(rig: Rig, data: bytes) -> None:
    with rig.client() as microscope, Peer(rig.address) as peer:
        assert peer.greet()[0] == protocol.MSG_CONNECTOK
        peer.send(data)
        assert peer.hung_up()
        assert microscope.status().beam_blanked


BEFORE_HANDSHAKE = {
    "a call without a handshake": message(STATUS),
    "marshal in the handshake": message(
        b"\xfb" * 40, kind=protocol.MSG_CONNECT, serializer_id=MARSHAL_ID
    ),
    "a long handshake": message(
        b"x" * 10, kind=protocol.MSG_CONNECT, declared_bytes=HANDSHAKE_LIMIT_BYTES + 1
    ),
    "a compressed handshake": message(
        zlib.compress(b" " * 10_000), kind=protocol.MSG_CONNECT, flags=protocol.FLAGS_COMPRESSED
    ),
    "noise": random.Random(1).randbytes(400),
}


@pytest.mark.parametrize("data", BEFORE_HANDSHAKE.values(), ids=BEFORE_HANDSHAKE)
def test_messages_without_a_handshake_end_the_connection(rig: Rig, data: bytes) -> None:
    with Peer(rig.address) as peer:
        peer.send(data)
        assert peer.hung_up()
    with rig.client() as microscope:
        assert microscope.status().beam_blanked


@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param("null", id="nothing"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param('{"handshake": {}, "object": []}', id="no object"),
        pytest.param('{"handshake": {"__class__": "Pyro5.core.URI"}}', id="a class"),
        pytest.param("[" * 4000, id="deep nesting"),
    ],
)
def test_malformed_handshakes_are_refused(rig: Rig, greeting: str) -> None:
    with Peer(rig.address) as peer:
        peer.send(message(greeting.encode(), kind=protocol.MSG_CONNECT))
        kind, _ = peer.receive()
        assert kind == protocol.MSG_CONNECTFAIL
        assert peer.hung_up()


@pytest.mark.parametrize(
    "method",
    ["answer", "_control", "__init__", "get_metadata", "shutdown", "__getattr__", "__class__"],
)
def test_only_one_method_can_be_called(rig: Rig, method: str) -> None:
    call = {"object": "dualtilt.bridge", "method": method, "params": ["x"], "kwargs": {}}
    with Peer(rig.address) as peer:
        peer.greet()
        peer.send(message(json.dumps(call).encode()))
        _, reply = peer.receive()
        assert reply["__exception__"]
    with rig.client() as microscope:
        assert microscope.status().beam_blanked


def test_the_oldest_of_too_many_unauthenticated_connections_is_closed() -> None:
    connections = UnauthenticatedConnections(limit=2, per_other_user=2)
    with ExitStack() as open_pairs:
        pairs = [socket.socketpair() for _ in range(4)]
        for ours, theirs in pairs:
            open_pairs.enter_context(theirs)
            open_pairs.enter_context(ours)
            connections.add(ours)
            theirs.setblocking(False)
        assert [_still_open(theirs) for _, theirs in pairs] == [False, False, True, True]


def _still_open(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True


def test_silent_connections_keep_nobody_out(rig: Rig) -> None:
    with rig.client() as microscope, ExitStack() as silent:
        for _ in range(3 * ConnectionLimits.unauthenticated):
            silent.enter_context(Peer(rig.address))
        assert microscope.acquire("undisturbed", SCAN).info.request_id == "undisturbed"
        with rig.client(None) as late:
            assert late.status().beam_blanked


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_mutated_messages_leave_the_bridge_alive_and_small(rig: Rig) -> None:
    dice = random.Random(7)
    before = resident_bytes(rig.bridge.pid)
    with rig.client() as microscope:
        for number in range(400):
            with Peer(rig.address) as peer:
                if number % 2:
                    peer.greet()
                peer.send(mutated(dice))
        assert microscope.status().beam_blanked
    assert rig.actions("move") == []
    assert resident_bytes(rig.bridge.pid) - before < MEMORY_BOUND_BYTES
