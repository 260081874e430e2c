"""The bridge on the network: Pyro5's daemon with its own door, one thread a connection.

Pyro's accept loop reads from clients it refuses and shakes TLS hands before anybody else may come
in, so a silent peer stops it. Here the loop only accepts; all reading is on the connection's own
thread, under a timeout.
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
ACCEPT_INTERVAL_S = 0.25


class BridgeEndpoint:
    """The only object the daemon exposes: one call, request text in, reply text out."""

    def __init__(self, control: RequestHandler) -> None:
        self._control = control

    @expose  # type: ignore[untyped-decorator]
    def call(self, request: object) -> str:
        """Answer one request; pixels follow the reply."""
        connection: ServerConnection = current_context.client
        answer = self._control.answer(str(request), connection.peer)
        connection.following = answer.pixels
        return answer.reply.model_dump_json()


class DaemonMetadata:
    """What Pyro's own object tells a client at the handshake, and no more."""

    def __init__(self, daemon: Daemon) -> None:
        pass

    @expose  # type: ignore[untyped-decorator]
    def get_metadata(self, _object_id: object) -> dict[str, list[str]]:
        """Name the one method there is."""
        return {"methods": ["call"], "oneway": [], "attrs": []}


class BridgeDaemon(TokenDaemon):
    """Pyro's daemon behind a guarded door.

    Parameters
    ----------
    control
        Answers the requests.
    place
        Where to listen.
    secret
        What a client has to show; empty where its certificate is asked for instead.
    tls
        Context for mutual TLS, or None.

    Raises
    ------
    BridgeError
        If the address cannot be listened on.
    """

    def __init__(
        self, control: RequestHandler, place: ListenAddress, secret: str, tls: ssl.SSLContext | None
    ) -> None:
        check_listen_address(place)
        where = (
            {"unixsocket": str(place.socket_path)}
            if place.socket_path is not None
            else {"host": place.host, "port": place.port}
        )
        try:
            super().__init__(secret, PROTOCOL_VERSION, interface=DaemonMetadata, **where)
        except OSError as error:
            raise BridgeError(f"cannot listen on {place}: {error}") from error
        self.register(BridgeEndpoint(control), OBJECT_NAME)
        self._boot_id = control.description.boot_id
        self._place = place
        self._tls = tls
        self._strangers = UnauthenticatedConnections(UNAUTHENTICATED_LIMIT)
        self._closing = threading.Event()

    def address(self, secret_path: Path | None) -> BridgeAddress:
        """Return where clients on this machine find this daemon."""
        if self._place.socket_path is not None:
            return BridgeAddress(socket_path=self._place.socket_path, secret_path=secret_path)
        host, port = self.sock.getsockname()[:2]
        return BridgeAddress(host=host, port=port, secret_path=secret_path)

    def serve(self) -> None:
        """Accept until `stop`; every connection gets a thread, none is read from here."""
        listener: socket.socket = self.sock
        listener.settimeout(ACCEPT_INTERVAL_S)
        while not self._closing.is_set():
            try:
                client, _ = listener.accept()
                threading.Thread(target=self._attend, args=(client,), daemon=True).start()
            except TimeoutError:
                continue
            except OSError as error:
                log.warning("not accepted: %s", error)
                self._closing.wait(ACCEPT_INTERVAL_S)

    def stop(self) -> None:
        """End `serve` and hang up on everyone."""
        self._closing.set()
        self.shutdown()

    def validateHandshake(self, conn: Any, data: Any) -> str:
        """Let in who shows the secret and speaks our version, and tell the boot id."""
        try:
            super().validateHandshake(conn, data)
        except (PermissionError, ValueError) as error:
            log.warning("%s not let in: %s", conn.peer, error)
            raise
        conn.admitted = True
        return self._boot_id

    def _attend(self, client: socket.socket) -> None:
        """Serve one connection to its end, on its own thread."""
        peer = "somebody"
        try:
            peer = _peer(client)
            with self._secured(client) as sock:
                connection = ServerConnection(sock, peer)
                if self._admits(connection):
                    self._converse(connection)
        except ConnectionClosedError:
            log.debug("%s gone", peer)
        except Exception as error:  # noqa: BLE001 -- whatever a peer sends ends only its connection
            log.warning("%s connection ended: %s: %s", peer, type(error).__name__, error)

    def _secured(self, client: socket.socket) -> socket.socket:
        """Put TLS around a connection; not a byte is exchanged yet."""
        client.settimeout(HANDSHAKE_TIMEOUT_S)
        if self._tls is None:
            return client
        return self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)

    def _admits(self, connection: ServerConnection) -> bool:
        with self._strangers.watch(connection.sock):
            if isinstance(connection.sock, ssl.SSLSocket):
                connection.sock.do_handshake()
            return bool(self._handshake(connection))

    def _converse(self, connection: ServerConnection) -> None:
        try:
            while not self._closing.is_set():
                self.handleRequest(connection)
        finally:
            self._clientDisconnect(connection)


class UnauthenticatedConnections:
    """Connections that have not shown who they are; of too many the oldest is cut off.

    So silent connections never keep out a client that knows what to say.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}

    @contextmanager
    def watch(self, sock: socket.socket) -> Iterator[None]:
        """Count `sock` as a stranger's while the block lasts."""
        with self._lock:
            self._sockets[id(sock)] = sock
            if len(self._sockets) > self._limit:
                oldest = self._sockets.pop(next(iter(self._sockets)))
                with suppress(OSError):
                    socket.socket.shutdown(oldest, socket.SHUT_RDWR)  # past TLS, which may wait
        try:
            yield
        finally:
            with self._lock:
                self._sockets.pop(id(sock), None)


def _peer(client: socket.socket) -> str:
    name = client.getpeername()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "local"
