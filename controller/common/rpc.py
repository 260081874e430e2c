"""Secure settings of Pyro5, common to all our servers and clients.

Pyro5's settings are global: importing this module changes them for the whole process, for the
bridge's client as well as for the session's service.

- Only the serializer json is accepted. The client chooses the serializer, its data are parsed
  before the handshake is validated, and marshal can crash the interpreter.
- Compressed, batched, one-way and keep-serialized messages are refused by their header: one
  megabyte of zlib can unpack to half a gigabyte.
- No call is retried automatically, and a silent connection is closed during the handshake.
- A refused client is closed without reading from it in the accept loop.
- Annotations are cleared at every handshake; otherwise the next client would receive the last
  client's frame.

Servers derive from :class:`TokenDaemon`; clients use :func:`connect`. Only json types and
annotations are transmitted.
"""

from __future__ import annotations

import hmac
import threading
from typing import Any

import Pyro5
import Pyro5.errors
from Pyro5 import client, protocol, serializers, server, svr_threads
from Pyro5.callcontext import current_context

MAX_MESSAGE_BYTES = 300 * 2**20
"""Largest message: a little more than a frame of 8192 x 8192 float32 pixels."""
HANDSHAKE_TIMEOUT_S = 5.0
THREADS = 32
"""Largest number of connections: one thread each, for a few screens and commands."""

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


def _close_unread(job: Any, reason: str) -> None:
    """Close the connection of a refused client without reading from it."""
    del reason
    job.csock.close()


def harden() -> None:
    """Apply the settings above; may be called repeatedly."""
    config = Pyro5.config
    config.SERIALIZER = _SERIALIZER
    config.MAX_MESSAGE_SIZE = MAX_MESSAGE_BYTES
    config.MAX_RETRIES = 0
    config.COMMTIMEOUT = HANDSHAKE_TIMEOUT_S
    config.THREADPOOL_SIZE = THREADS
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
    svr_threads.ClientConnectionJob.denyConnection = _close_unread


harden()


class TokenDaemon(server.Daemon):  # type: ignore[misc]
    """Pyro5 daemon that accepts only clients with the token and the same protocol version.

    Parameters
    ----------
    token
        Shared secret, from a file that only the user can read.
    version
        Version of the protocol; if the versions differ, the refusal names both.
    location
        `unixsocket=PATH`, or `host=..., port=...` for loopback.
    """

    def __init__(self, token: str, version: int, **location: Any) -> None:
        self._token = token.encode()
        self._version = version
        self._connections: set[Any] = set()
        self._connections_lock = threading.Lock()
        super().__init__(**location)

    def validateHandshake(self, conn: Any, data: Any) -> str:
        """Check the token, in constant time, and the version."""
        current_context.response_annotations = {}
        given = data if isinstance(data, dict) else {}
        if not hmac.compare_digest(str(given.get("token", "")).encode(), self._token):
            raise PermissionError("wrong or missing token")
        if given.get("version") != self._version:
            raise ValueError(
                f"this side has protocol version {self._version}, the client"
                f" {given.get('version')}: use the same dualtilt on both sides"
            )
        conn.timeout = None  # after the handshake a client may be idle
        with self._connections_lock:
            self._connections.add(conn)
        return "welcome"

    def handleRequest(self, conn: Any) -> None:
        """Serve one request without annotations from the previous one."""
        current_context.response_annotations = {}
        super().handleRequest(conn)

    def clientDisconnect(self, conn: Any) -> None:
        """Remove a client that has disconnected."""
        with self._connections_lock:
            self._connections.discard(conn)

    def shutdown(self) -> None:
        """Stop serving and close all connections."""
        super().shutdown()
        with self._connections_lock:
            connections, self._connections = self._connections, set()
        for conn in connections:
            conn.close()


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
