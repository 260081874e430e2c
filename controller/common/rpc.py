"""Secure settings of Pyro5, common to all our servers and clients.

Pyro5's settings are global: importing this module changes them for the whole process, for the
bridge's client as well as for the session's service.

- Only the serializer json is accepted. The client chooses the serializer, its data are parsed
  before the handshake is validated, and marshal can crash the interpreter.
- Compressed, batched, one-way and keep-serialized messages are refused by their header: one
  megabyte of zlib can unpack to half a gigabyte.
- No call is retried automatically, and a silent connection is closed during the handshake.
- The time limit holds for all bytes that are waited for, not for each piece of them.

Servers derive from :class:`controller.common.rpc_server.TokenDaemon`; clients use :func:`connect`.
Only json types and annotations are transmitted.
"""

from __future__ import annotations

import socket
import time

import Pyro5
import Pyro5.errors
from Pyro5 import client, protocol, serializers, socketutil

MAX_MESSAGE_BYTES = 300 * 2**20
"""Largest message: a little more than a frame of 8192 x 8192 float32 pixels."""
HANDSHAKE_TIMEOUT_S = 5.0
LEAST_TIMEOUT_S = 1e-3
"""Zero would make a socket non-blocking."""
PYRO_THREADS = 4
"""Size of Pyro's own thread pool, which is not used."""

_SERIALIZER = "json"
_REFUSED_FLAGS = (
    protocol.FLAGS_COMPRESSED
    | protocol.FLAGS_ONEWAY
    | protocol.FLAGS_BATCH
    | protocol.FLAGS_KEEPSERIALIZED
)


class _PlainMessage(protocol.ReceivingMessage):  # type: ignore[misc]
    """Message without any of the refused flags."""

    def __init__(self, header: bytes, payload: bytes | None = None) -> None:
        super().__init__(header, payload)
        if self.flags & _REFUSED_FLAGS:
            raise Pyro5.errors.ProtocolError(f"refused message flags {self.flags:#x}")


def receive_in_time(sock: socket.socket, size: int) -> bytes:
    """Receive `size` bytes within the socket's timeout in all; replaces Pyro's own function.

    Raises
    ------
    Pyro5.errors.TimeoutError
        If they do not arrive in time, however steadily bytes come in.
    Pyro5.errors.ConnectionClosedError
        If the connection ends before.
    """
    timeout_s = sock.gettimeout()
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    data = bytearray()
    try:
        while len(data) < size:
            if deadline_s is not None:
                sock.settimeout(max(deadline_s - time.monotonic(), LEAST_TIMEOUT_S))
            chunk = sock.recv(size - len(data))
            if not chunk:
                raise Pyro5.errors.ConnectionClosedError("receiving: the other side hung up")
            data += chunk
    except TimeoutError:
        raise Pyro5.errors.TimeoutError("receiving: timeout") from None
    except OSError as error:
        raise Pyro5.errors.ConnectionClosedError(f"receiving: {error}") from error
    finally:
        if sock.fileno() >= 0:
            sock.settimeout(timeout_s)
    return bytes(data)


def harden() -> None:
    """Apply the settings above; may be called repeatedly."""
    config = Pyro5.config
    config.SERIALIZER = _SERIALIZER
    config.MAX_MESSAGE_SIZE = MAX_MESSAGE_BYTES
    config.MAX_RETRIES = 0
    config.COMMTIMEOUT = HANDSHAKE_TIMEOUT_S
    config.THREADPOOL_SIZE_MIN = 1
    config.THREADPOOL_SIZE = PYRO_THREADS
    config.ITER_STREAMING = False
    config.SOCK_NODELAY = True
    for name in [name for name in serializers.serializers if name != _SERIALIZER]:
        del serializers.serializers[name]
    only = serializers.serializers[_SERIALIZER]
    serializers.serializers_by_id.clear()
    serializers.serializers_by_id[only.serializer_id] = only
    # a client that used another serializer gets its reply in this one
    serializers.MarshalSerializer.serializer_id = only.serializer_id
    protocol.ReceivingMessage = _PlainMessage
    socketutil.receive_data = receive_in_time


harden()


class RefusedError(Pyro5.errors.CommunicationError):  # type: ignore[misc]
    """The server refused the client at the handshake; the message says why."""


def connect(uri: str, token: str, version: int, timeout_s: float) -> client.Proxy:
    """Open a proxy for the calling thread; every call on it ends within `timeout_s`.

    Raises
    ------
    RefusedError
        If the server refuses the client.
    Pyro5.errors.CommunicationError
        If nobody answers.
    """
    proxy = client.Proxy(uri)
    proxy._pyroTimeout = timeout_s
    proxy._pyroMaxRetries = 0
    proxy._pyroHandshake = {"token": token, "version": version}
    try:
        proxy._pyroBind()
    except Pyro5.errors.CommunicationError as error:
        # of all failures only a refusal has this very class and no cause
        if type(error) is Pyro5.errors.CommunicationError and error.__cause__ is None:
            raise RefusedError(str(error)) from None
        raise
    return proxy
