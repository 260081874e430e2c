"""Server of remote calls: a Pyro5 daemon with its own accept loop and one thread a connection.

Pyro's own accept loop reads from clients that it refuses, and completes one TLS handshake before it
accepts the next client: a silent client would block it. It also ends for good if no thread can be
started. Here the loop only accepts; each connection is read on its own thread, within limits.
"""

from __future__ import annotations

import hmac
import logging
import socket
import threading
import time
from typing import Any

from Pyro5.callcontext import current_context
from Pyro5.errors import ConnectionClosedError
from Pyro5.server import Daemon

import controller.common.rpc  # noqa: F401 -- hardens Pyro5
from controller.common.connection_counts import AdmittedConnections, UnauthenticatedConnections
from controller.common.connection_limits import ConnectionLimits
from controller.common.rpc_connection import ServerConnection, keep_alive

ACCEPT_INTERVAL_S = 0.25
STUCK_AFTER_S = 5.0
"""Time without a turn of the accept loop after which the server counts as deaf (s)."""

log = logging.getLogger(__name__)


class TokenDaemon(Daemon):  # type: ignore[misc]
    """Pyro5 daemon that accepts only clients with the token and the same protocol version.

    Parameters
    ----------
    token
        Shared secret, from a file that only the user can read.
    version
        Version of the protocol; if the versions differ, the refusal names both.
    limits
        Limits on the connections.
    location
        `unixsocket=PATH`, or `host=..., port=...` for loopback, and options of Pyro's daemon.
    """

    def __init__(self, token: str, version: int, limits: ConnectionLimits, **location: Any) -> None:
        self._token = token.encode()
        self._version = version
        self._limits = limits
        self._unauthenticated = UnauthenticatedConnections(
            limits.unauthenticated, limits.per_other_user
        )
        self._admitted = AdmittedConnections(limits.admitted, limits.per_other_user)
        self._closing = threading.Event()
        self._last_turn_s = time.monotonic()
        self._acceptor: threading.Thread | None = None
        super().__init__(**location)

    def start(self) -> None:
        """Serve on a thread of its own until `shutdown`."""
        self._acceptor = threading.Thread(target=self.serve, name="accept", daemon=True)
        self._acceptor.start()

    def serve(self) -> None:
        """Accept connections until `shutdown`, whatever one of them does."""
        listener: socket.socket = self.sock
        listener.settimeout(ACCEPT_INTERVAL_S)
        while not self._closing.is_set() and listener.fileno() >= 0:
            self._last_turn_s = time.monotonic()
            try:
                self._accept(listener)
            except TimeoutError:
                continue
            except Exception as error:  # noqa: BLE001 -- no file or thread left: others must get in
                self.note_end("not accepted", error)
                self._unauthenticated.close_oldest()
                self._closing.wait(ACCEPT_INTERVAL_S)

    def deaf(self) -> bool:
        """Tell whether the accept loop has ended or hangs although nobody stopped it."""
        if self._closing.is_set() or self._acceptor is None:
            return False
        stuck = time.monotonic() - self._last_turn_s > STUCK_AFTER_S
        return stuck or not self._acceptor.is_alive()

    def shutdown(self) -> None:
        """End `serve` and close all connections."""
        self._closing.set()
        super().shutdown()
        self._unauthenticated.close_all()
        self._admitted.close_all()

    def validateHandshake(self, conn: Any, data: Any) -> Any:
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
        self.check_client(conn, given)
        self._admitted.add(conn, self.spared)
        conn.authenticated = True
        return "welcome"

    def handleRequest(self, conn: Any) -> None:
        """Serve one request without annotations from the previous one."""
        current_context.response_annotations = {}
        super().handleRequest(conn)

    def check_client(self, connection: ServerConnection, given: dict[str, Any]) -> None:
        """Raise ValueError to refuse a client that has the token; `given` is its handshake."""

    def spared(self, connection: ServerConnection) -> bool:
        """Tell whether a connection is kept although it is idle; none is by default."""
        del connection
        return False

    def note_end(self, peer: str, error: Exception) -> None:
        """Log a connection that failed or could not be accepted."""
        log.warning("%s: connection ended: %s: %s", peer, type(error).__name__, error)

    def secured(self, client: socket.socket) -> socket.socket:
        """Return the socket to speak on; nothing is exchanged yet."""
        return client

    def _accept(self, listener: socket.socket) -> None:
        """Accept one connection and serve it on its own thread."""
        client, _ = listener.accept()
        try:
            self._unauthenticated.add(client)
            threading.Thread(target=self._serve_connection, args=(client,), daemon=True).start()
        except BaseException:
            self._unauthenticated.remove(client)
            client.close()
            raise

    def _serve_connection(self, client: socket.socket) -> None:
        """Serve one connection until it ends, on its own thread."""
        peer = "unknown client"
        try:
            peer = peer_name(client)
            keep_alive(client)
            client.settimeout(self._limits.handshake_s)
            with self.secured(client) as sock:
                self._unauthenticated.wrap(client, sock)
                limits = self._limits
                connection = ServerConnection(sock, peer, limits.handshake_s, limits.idle_s)
                try:
                    if self._authenticate(connection, client):
                        self._serve_requests(connection)
                finally:
                    self._admitted.remove(connection)
        except ConnectionClosedError:
            log.debug("%s disconnected", peer)
        except Exception as error:  # noqa: BLE001 -- a bad message ends only its own connection
            self.note_end(peer, error)
        finally:
            self._unauthenticated.remove(client)

    def _authenticate(self, connection: ServerConnection, client: socket.socket) -> bool:
        try:
            connection.secure()
            return bool(self._handshake(connection))
        finally:
            self._unauthenticated.remove(client)

    def _serve_requests(self, connection: ServerConnection) -> None:
        try:
            while not self._closing.is_set():
                self.handleRequest(connection)
        finally:
            self._clientDisconnect(connection)


def peer_name(client: socket.socket) -> str:
    """Return the address of a client, or "local" for a Unix socket."""
    name = client.getpeername()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local"
