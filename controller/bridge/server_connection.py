"""Limits on size and time of a message, checked by the bridge before it reads on."""

from __future__ import annotations

import socket
import struct

from Pyro5 import errors
from Pyro5.socketutil import SocketConnection

HANDSHAKE_LIMIT_BYTES = 4 << 10
"""Largest message from somebody who has not been let in yet."""
REQUEST_LIMIT_BYTES = 64 << 10
"""Largest request; pixels travel the other way only."""
HANDSHAKE_TIMEOUT_S = 5.0
MESSAGE_TIMEOUT_S = 30.0
"""How long a begun message may take, either way."""

_SIZES = struct.Struct("!II")
"""Length of data and of annotations in Pyro's header."""
_SIZES_OFFSET = 12 - 6
"""Pyro reads a message in three parts: 6 bytes of tag and version, the header's rest, the body."""


class ServerConnection(SocketConnection):  # type: ignore[misc]
    """A connection of the bridge's server that judges every header before it reads the body.

    Parameters
    ----------
    sock
        Connected, and secured where it has to be.
    peer
        What the audit log calls the other end.
    """

    def __init__(self, sock: socket.socket, peer: str) -> None:
        super().__init__(sock)
        self.peer = peer
        self.admitted = False
        """True once the handshake has shown who this is."""
        self.following: memoryview | None = None
        """Bytes to send after the next message: pixels, straight from where they lie."""
        self._part = 0

    def recv(self, size: int) -> bytes:
        """Read one of the three parts of a message, each within its time.

        Raises
        ------
        Pyro5.errors.ProtocolError
            For a message too long for who sends it.
        """
        self.sock.settimeout(self._patience_s())
        data: bytes = super().recv(size)
        if self._part == 1:
            self._judge(*_SIZES.unpack_from(data, _SIZES_OFFSET))
        self._part = (self._part + 1) % 3
        return data

    def send(self, data: bytes) -> None:
        """Send a whole message and what follows it, or give up on who has stopped reading."""
        following, self.following = self.following, None
        self.sock.settimeout(MESSAGE_TIMEOUT_S)
        try:
            self.sock.sendall(data)
            if following is not None:
                self.sock.sendall(following)
        except OSError as error:
            raise errors.ConnectionClosedError(f"sending: {error}") from error

    def _patience_s(self) -> float | None:
        if not self.admitted:
            return HANDSHAKE_TIMEOUT_S
        return MESSAGE_TIMEOUT_S if self._part else None

    def _judge(self, data_bytes: int, annotation_bytes: int) -> None:
        limit = REQUEST_LIMIT_BYTES if self.admitted else HANDSHAKE_LIMIT_BYTES
        if data_bytes + annotation_bytes > limit:
            raise errors.ProtocolError(
                f"message of {data_bytes + annotation_bytes} bytes refused, {limit} at most"
            )
