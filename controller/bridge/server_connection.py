"""Server side of a connection: limits on size and time of each message."""

from __future__ import annotations

import socket
import struct

from Pyro5 import errors
from Pyro5.socketutil import SocketConnection

HANDSHAKE_LIMIT_BYTES = 4 << 10
"""Largest message from a client that has not authenticated yet."""
REQUEST_LIMIT_BYTES = 64 << 10
"""Largest request; pixels are only sent to the client."""
HANDSHAKE_TIMEOUT_S = 5.0
MESSAGE_TIMEOUT_S = 30.0
"""Longest time to send or receive one message once it has started."""

_SIZES = struct.Struct("!II")
"""Lengths of data and annotations in Pyro's header."""
_SIZES_OFFSET = 12 - 6
"""Offset of the lengths in the second of the three parts in which Pyro reads a message: 6 bytes of
tag and version, the rest of the header, the body."""


class ServerConnection(SocketConnection):  # type: ignore[misc]
    """Connection of the bridge's server that checks every header before it reads the body.

    Parameters
    ----------
    sock
        Connected socket, with TLS if the bridge uses it.
    peer
        Name of the client in the audit log.
    """

    def __init__(self, sock: socket.socket, peer: str) -> None:
        super().__init__(sock)
        self.peer = peer
        self.authenticated = False
        """True once the handshake has succeeded."""
        self.pixels: memoryview | None = None
        """Pixels to send after the next message, without a copy."""
        self._part = 0

    def recv(self, size: int) -> bytes:
        """Read one of the three parts of a message, within the time limit.

        Raises
        ------
        Pyro5.errors.ProtocolError
            If the message is too long for this client.
        Pyro5.errors.ConnectionClosedError
            If the client hangs up, or does not complete its handshake in time. Pyro would answer
            a late handshake with a refusal, but the network may be the cause.
        """
        self.sock.settimeout(self._timeout_s())
        try:
            data: bytes = super().recv(size)
        except errors.TimeoutError as error:
            if self.authenticated:
                raise
            raise errors.ConnectionClosedError(str(error)) from error
        if self._part == 1:
            self._check_size(*_SIZES.unpack_from(data, _SIZES_OFFSET))
        self._part = (self._part + 1) % 3
        return data

    def send(self, data: bytes) -> None:
        """Send a message and the pixels after it; hang up if the client does not read them."""
        pixels, self.pixels = self.pixels, None
        self.sock.settimeout(MESSAGE_TIMEOUT_S)
        try:
            self.sock.sendall(data)
            if pixels is not None:
                self.sock.sendall(pixels)
        except OSError as error:
            raise errors.ConnectionClosedError(f"sending: {error}") from error

    def _timeout_s(self) -> float | None:
        if not self.authenticated:
            return HANDSHAKE_TIMEOUT_S
        return MESSAGE_TIMEOUT_S if self._part else None

    def _check_size(self, data_bytes: int, annotation_bytes: int) -> None:
        limit = REQUEST_LIMIT_BYTES if self.authenticated else HANDSHAKE_LIMIT_BYTES
        if data_bytes + annotation_bytes > limit:
            raise errors.ProtocolError(
                f"message of {data_bytes + annotation_bytes} bytes refused, limit {limit}"
            )
