"""Client that sends any bytes to a bridge."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Any, Self

from Pyro5 import protocol

from controller.bridge.bridge_address import BridgeAddress, read_secret
from controller.bridge.wire_messages import OBJECT_NAME, PROTOCOL_VERSION

JSON_ID = 3
HEADER = struct.Struct("!4sHBBHHII16sHH")
MAGIC = 0x4DC5


def message(
    payload: bytes,
    kind: int = protocol.MSG_INVOKE,
    flags: int = 0,
    serializer_id: int = JSON_ID,
    declared_bytes: int | None = None,
) -> bytes:
    """Build a Pyro message, valid or not."""
    size = len(payload) if declared_bytes is None else declared_bytes
    return (
        HEADER.pack(
            b"PYRO", protocol.PROTOCOL_VERSION, kind, serializer_id, flags, 1, size, 0, b"\0" * 16,
            0, MAGIC,
        )
        + payload
    )  # fmt: skip


def invocation(request: str) -> bytes:
    """Build the payload of one call."""
    call = {"object": OBJECT_NAME, "method": "call", "params": [request], "kwargs": {}}
    return json.dumps(call).encode()


class Peer:
    """Raw connection to the socket of a bridge."""

    def __init__(self, address: BridgeAddress, timeout_s: float = 15.0) -> None:
        if address.socket_path is not None:
            self._sock = socket.socket(socket.AF_UNIX)
            self._sock.connect(str(address.socket_path))
        else:
            self._sock = socket.create_connection((address.host, address.port))
        self._sock.settimeout(timeout_s)
        self._address = address

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes; ignore a connection that the bridge has closed."""
        with contextlib.suppress(OSError):
            self._sock.sendall(data)

    def greet(self, **changes: Any) -> tuple[int, Any]:
        """Carry out the handshake with `changes` to its data; return message type and content."""
        greeting = {
            "token": read_secret(self._address.secret_path),
            "version": PROTOCOL_VERSION,
            **changes,
        }
        hello = json.dumps({"handshake": greeting, "object": OBJECT_NAME}).encode()
        self.send(message(hello, kind=protocol.MSG_CONNECT))
        return self.receive()

    def call(self, request: str) -> dict[str, Any]:
        """Call the only exposed method with any text; return the reply."""
        self.send(message(invocation(request)))
        _, reply = self.receive()
        return dict(json.loads(reply))

    def receive(self) -> tuple[int, Any]:
        """Read one message; return its type and content."""
        header = HEADER.unpack(self._read(HEADER.size))
        body = self._read(header[6] + header[7])
        return header[2], json.loads(body[header[7] :])

    def hung_up(self) -> bool:
        """Wait until the bridge closes the connection; False if it does not."""
        try:
            while self._sock.recv(1 << 16):
                pass
            return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._sock.recv(size - len(data))
            if not part:
                raise ConnectionResetError("the bridge hung up")
            data += part
        return data
