"""Pyro5 made safe: what every server and every proxy of ours has in common.

Importing this module hardens Pyro5 for the whole process, bridge client and session service
alike, since its settings are global:

- one serializer, json: the client picks the serializer and it is parsed before the handshake is
  validated, and marshal can be made to crash the interpreter;
- compressed, batched, one-way and keep-serialized messages are refused by their header: one
  megabyte of zlib unpacks to half a gigabyte;
- nothing is ever retried by itself, and a silent connection is dropped during the handshake;
- a refused client is closed without reading from it inside the accept loop;
- annotations are cleared at every handshake, or the next client would get the last one's frame.

Servers derive from :class:`TokenDaemon`; clients come from :func:`connect`. Only json types and
annotations travel.
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
"""An 8192 x 8192 float32 frame and some."""
HANDSHAKE_TIMEOUT_S = 5.0
THREADS = 32
"""One a connection: a handful of screens and an answer or two."""

_SERIALIZER = "json"
_REFUSED_FLAGS = (
    protocol.FLAGS_COMPRESSED
    | protocol.FLAGS_ONEWAY
    | protocol.FLAGS_BATCH
    | protocol.FLAGS_KEEPSERIALIZED
)


class _PlainMessage(protocol.ReceivingMessage):  # type: ignore[misc]
    """A message without any of the flags that widen the attack surface."""

    def __init__(self, header: bytes, payload: bytes | None = None) -> None:
        super().__init__(header, payload)
        if self.flags & _REFUSED_FLAGS:
            raise Pyro5.errors.ProtocolError(f"refused message flags {self.flags:#x}")


def _close_unread(job: Any, reason: str) -> None:
    """Turn a client away without waiting for what it has to say."""
    del reason
    job.csock.close()


def harden() -> None:
    """Apply the rules above; idempotent."""
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
    # the reply to a client that used another serializer is made with this one
    serializers.MarshalSerializer.serializer_id = only.serializer_id
    protocol.ReceivingMessage = _PlainMessage
    svr_threads.ClientConnectionJob.denyConnection = _close_unread


harden()


class TokenDaemon(server.Daemon):  # type: ignore[misc]
    """A Pyro5 daemon that talks only to who knows the token and the same protocol version.

    Parameters
    ----------
    token
        Secret shared through a file that only the user can read.
    version
        Of the methods offered; both versions are named when they differ.
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
        """Check token and version, in constant time."""
        current_context.response_annotations = {}
        given = data if isinstance(data, dict) else {}
        if not hmac.compare_digest(str(given.get("token", "")).encode(), self._token):
            raise PermissionError("wrong or missing token")
        if given.get("version") != self._version:
            raise ValueError(
                f"this side speaks version {self._version}, the client {given.get('version')}:"
                " use the same dualtilt on both sides"
            )
        conn.timeout = None  # from here on an idle client is welcome
        with self._connections_lock:
            self._connections.add(conn)
        return "welcome"

    def handleRequest(self, conn: Any) -> None:
        """Serve one request with no annotations left over from the one before."""
        current_context.response_annotations = {}
        super().handleRequest(conn)

    def clientDisconnect(self, conn: Any) -> None:
        """Forget a client that has gone."""
        with self._connections_lock:
            self._connections.discard(conn)

    def shutdown(self) -> None:
        """Stop serving and hang up on everyone."""
        super().shutdown()
        with self._connections_lock:
            left, self._connections = self._connections, set()
        for conn in left:
            conn.close()


def connect(uri: str, token: str, version: int, timeout_s: float) -> client.Proxy:
    """Open a proxy for the calling thread; every call on it ends within `timeout_s`.

    Raises
    ------
    Pyro5.errors.CommunicationError
        Nobody there, or turned away; the message says why.
    """
    proxy = client.Proxy(uri)
    proxy._pyroTimeout = timeout_s
    proxy._pyroMaxRetries = 0
    proxy._pyroHandshake = {"token": token, "version": version}
    proxy._pyroBind()
    return proxy
