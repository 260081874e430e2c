"""Server side of a connection: limits on size and time of each message."""

from __future__ import annotations

import socket
import ssl
import struct
import time

from Pyro5 import errors
from Pyro5.socketutil import SocketConnection

from controller.common.peer_user import peer_uid

HANDSHAKE_LIMIT_BYTES = 4 << 10
"""Largest message from a client that has not authenticated yet."""
REQUEST_LIMIT_BYTES = 64 << 10
"""Largest request; pixels are only sent to the client."""
MESSAGE_TIMEOUT_S = 30.0
"""Longest time to send or receive one whole message once it has started (s)."""
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""A peer that vanished without a word is noticed within a minute, where the system has these."""

_SIZES = struct.Struct("!II")
"""Lengths of data and annotations in Pyro's header."""
_SIZES_OFFSET = 12 - 6
"""Offset of the lengths in the second of the three parts in which Pyro reads a message: 6 bytes of
tag and version, the rest of the header, the body."""


class ServerConnection(SocketConnection):  # type: ignore[misc]
    """Connection of a server that checks every header before it reads the body.

    The time limit holds for a whole message, however slowly its bytes arrive.

    Parameters
    ----------
    sock
        Connected socket, with TLS if the server uses it.
    peer
        Name of the client in the audit log.
    handshake_s
        Longest duration of the handshake, from now on (s).
    idle_s
        Time without a request after which an admitted connection ends (s); None: never.
    """

    def __init__(
        self, sock: socket.socket, peer: str, handshake_s: float, idle_s: float | None = None
    ) -> None:
        super().__init__(sock)
        self.peer = peer
        self.uid = peer_uid(sock)
        """User at the other end, where the system tells it."""
        self.authenticated = False
        """True once the handshake has succeeded."""
        self.pixels: memoryview | None = None
        """Pixels to send after the next message, without a copy."""
        self.lease_token = ""
        """Token of the lease that the last action or renewal used."""
        self.idle_since_s: float | None = None
        """Time since which it waits for a request (monotonic, s); None: it serves one."""
        self._idle_s = idle_s
        self._deadline_s = time.monotonic() + handshake_s
        self._part = 0

    def secure(self) -> None:
        """Complete the TLS handshake, if there is TLS, within the time of the whole handshake."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(max(self._deadline_s - time.monotonic(), 1e-3))
            self.sock.do_handshake()

    def recv(self, size: int) -> bytes:
        """Read one of the three parts of a message, within the time limit.

        Raises
        ------
        Pyro5.errors.ProtocolError
            If the message is too long for this client.
        Pyro5.errors.TimeoutError
            If a request does not arrive in time.
        Pyro5.errors.ConnectionClosedError
            If the client hangs up, is idle too long, or does not complete its handshake in time.
            Pyro would answer a late handshake with a refusal, but the network may be the cause.
        """
        begins = self.authenticated and self._part == 0
        data = self._begin_request(size) if begins else bytearray()
        while len(data) < size:
            data += self._receive(size - len(data))
        if self._part == 1:
            self._check_size(*_SIZES.unpack_from(data, _SIZES_OFFSET))
        self._part = (self._part + 1) % 3
        return bytes(data)

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

    def hang_up(self) -> None:
        """End the connection from another thread, without waiting for the client."""
        hang_up(self.sock)

    def _begin_request(self, size: int) -> bytearray:
        """Wait for the first bytes of a request; its time limit begins there."""
        self.idle_since_s = time.monotonic()
        self.sock.settimeout(self._idle_s)
        try:
            first = bytearray(self.sock.recv(size))
        except TimeoutError:
            raise errors.ConnectionClosedError(f"idle for {self._idle_s:g} s") from None
        except OSError as error:
            raise errors.ConnectionClosedError(f"receiving: {error}") from error
        if not first:
            raise errors.ConnectionClosedError("the client hung up")
        self.idle_since_s = None
        self._deadline_s = time.monotonic() + MESSAGE_TIMEOUT_S
        return first

    def _receive(self, size: int) -> bytes:
        """Receive up to `size` bytes before the message's time limit."""
        left_s = self._deadline_s - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            self.sock.settimeout(left_s)
            data: bytes = self.sock.recv(size)
        except TimeoutError:
            late = "the message did not arrive in time"
            kind = errors.TimeoutError if self.authenticated else errors.ConnectionClosedError
            raise kind(late) from None
        except OSError as error:
            raise errors.ConnectionClosedError(f"receiving: {error}") from error
        if not data:
            raise errors.ConnectionClosedError("the client hung up")
        return data

    def _check_size(self, data_bytes: int, annotation_bytes: int) -> None:
        limit = REQUEST_LIMIT_BYTES if self.authenticated else HANDSHAKE_LIMIT_BYTES
        if data_bytes + annotation_bytes > limit:
            raise errors.ProtocolError(
                f"message of {data_bytes + annotation_bytes} bytes refused, limit {limit}"
            )


def hang_up(sock: socket.socket) -> None:
    """End a connection that another thread may be using; it notices at once."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # bypasses TLS, which could block
    except OSError:
        return  # it has ended already


def keep_alive(sock: socket.socket) -> None:
    """Have the system probe an idle TCP connection; a Unix socket needs no probe."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
