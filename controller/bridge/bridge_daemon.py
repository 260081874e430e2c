"""The bridge on the network: a Pyro5 daemon with one thread per connection.

Pyro's own accept loop reads from clients that it refuses, and completes one TLS handshake before it
accepts the next client: a silent client would block it. Here the loop only accepts; each connection
is read on its own thread, with a timeout.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from Pyro5.callcontext import current_context
from Pyro5.errors import ConnectionClosedError
from Pyro5.server import Daemon, expose

from controller.bridge.bridge_address import BridgeAddress, ListenAddress, check_listen_address
from controller.bridge.request_handler import RequestHandler
from controller.bridge.server_connection import HANDSHAKE_TIMEOUT_S, ServerConnection
from controller.bridge.wire_messages import (
    OBJECT_NAME,
    PROTOCOL_VERSION,
)
from controller.common.errors import BridgeError
from controller.common.rpc import TokenDaemon

log = logging.getLogger("controller.bridge.audit")

UNAUTHENTICATED_LIMIT = 64
"""Largest number of connections before their handshake; then the oldest is closed."""
ACCEPT_INTERVAL_S = 0.25


class BridgeEndpoint:
    """The only object that the daemon exposes: one call, request text in, reply text out."""

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler

    @expose  # type: ignore[untyped-decorator]
    def call(self, request: object) -> str:
        """Answer one request; for `ReadPixels` the pixels follow the reply."""
        connection: ServerConnection = current_context.client
        response = self._handler.handle(str(request), connection.peer)
        connection.pixels = response.pixels
        return response.reply.model_dump_json()


class DaemonMetadata:
    """Replacement of Pyro's own object, which clients ask for the list of methods."""

    def __init__(self, daemon: Daemon) -> None:
        pass

    @expose  # type: ignore[untyped-decorator]
    def get_metadata(self, _object_id: object) -> dict[str, list[str]]:
        """Return the name of the only method."""
        return {"methods": ["call"], "oneway": [], "attrs": []}


class BridgeDaemon(TokenDaemon):
    """Pyro's daemon with a secret or TLS, and limits on every connection.

    Parameters
    ----------
    handler
        Answers the requests.
    listen_on
        Address to listen on.
    secret
        Secret that a client has to send; empty if clients use certificates.
    tls
        Context for mutual TLS, or None.

    Raises
    ------
    BridgeError
        If the bridge cannot listen on that address.
    """

    def __init__(
        self,
        handler: RequestHandler,
        listen_on: ListenAddress,
        secret: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        check_listen_address(listen_on)
        location = (
            {"unixsocket": str(listen_on.socket_path)}
            if listen_on.socket_path is not None
            else {"host": listen_on.host, "port": listen_on.port}
        )
        try:
            super().__init__(secret, PROTOCOL_VERSION, interface=DaemonMetadata, **location)
        except OSError as error:
            raise BridgeError(f"cannot listen on {listen_on}: {error}") from error
        self.register(BridgeEndpoint(handler), OBJECT_NAME)
        self._boot_id = handler.description.boot_id
        self._listen_on = listen_on
        self._tls = tls
        self._unauthenticated = UnauthenticatedConnections(UNAUTHENTICATED_LIMIT)
        self._closing = threading.Event()

    def address(self, secret_path: Path | None) -> BridgeAddress:
        """Return the address for clients on this machine."""
        if self._listen_on.socket_path is not None:
            return BridgeAddress(socket_path=self._listen_on.socket_path, secret_path=secret_path)
        host, port = self.sock.getsockname()[:2]
        return BridgeAddress(host=host, port=port, secret_path=secret_path)

    def serve(self) -> None:
        """Accept connections until `stop`; each one is served on its own thread."""
        listener: socket.socket = self.sock
        listener.settimeout(ACCEPT_INTERVAL_S)
        while not self._closing.is_set():
            try:
                client, _ = listener.accept()
                threading.Thread(target=self._serve_connection, args=(client,), daemon=True).start()
            except TimeoutError:
                continue
            except OSError as error:
                log.warning("connection not accepted: %s", error)
                self._closing.wait(ACCEPT_INTERVAL_S)

    def stop(self) -> None:
        """End `serve` and close all connections."""
        self._closing.set()
        self.shutdown()

    def validateHandshake(self, conn: Any, data: Any) -> str:
        """Check secret and protocol version of a client; return the boot id."""
        try:
            super().validateHandshake(conn, data)
        except (PermissionError, ValueError) as error:
            log.warning("%s refused: %s", conn.peer, error)
            raise
        conn.authenticated = True
        return self._boot_id

    def _serve_connection(self, client: socket.socket) -> None:
        """Serve one connection until it ends, on its own thread."""
        peer = "unknown client"
        try:
            peer = _peer(client)
            with self._with_tls(client) as sock:
                connection = ServerConnection(sock, peer)
                if self._authenticate(connection):
                    self._serve_requests(connection)
        except ConnectionClosedError:
            log.debug("%s disconnected", peer)
        except Exception as error:  # noqa: BLE001 -- a bad message ends only its own connection
            log.warning("%s connection ended: %s: %s", peer, type(error).__name__, error)

    def _with_tls(self, client: socket.socket) -> socket.socket:
        """Wrap a connection in TLS if the bridge uses it; nothing is exchanged yet."""
        client.settimeout(HANDSHAKE_TIMEOUT_S)
        if self._tls is None:
            return client
        return self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)

    def _authenticate(self, connection: ServerConnection) -> bool:
        with self._unauthenticated.count(connection.sock):
            if isinstance(connection.sock, ssl.SSLSocket):
                connection.sock.do_handshake()
            return bool(self._handshake(connection))

    def _serve_requests(self, connection: ServerConnection) -> None:
        try:
            while not self._closing.is_set():
                self.handleRequest(connection)
        finally:
            self._clientDisconnect(connection)


class UnauthenticatedConnections:
    """Connections before their handshake; if there are too many, the oldest is closed.

    Silent connections therefore never keep out a client that authenticates.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}

    @contextmanager
    def count(self, sock: socket.socket) -> Iterator[None]:
        """Count `sock` as unauthenticated during the block."""
        with self._lock:
            self._sockets[id(sock)] = sock
            if len(self._sockets) > self._limit:
                oldest = self._sockets.pop(next(iter(self._sockets)))
                with suppress(OSError):
                    socket.socket.shutdown(
                        oldest, socket.SHUT_RDWR
                    )  # bypasses TLS, which could block
        try:
            yield
        finally:
            with self._lock:
                self._sockets.pop(id(sock), None)


def _peer(client: socket.socket) -> str:
    name = client.getpeername()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local"
