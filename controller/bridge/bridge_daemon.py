"""The bridge on the network: a Pyro5 daemon with a secret or mutual TLS, and an audit log."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Any

from Pyro5.callcontext import current_context
from Pyro5.server import Daemon, expose

from controller.bridge import audit
from controller.bridge.bridge_address import BridgeAddress, ListenAddress, check_listen_address
from controller.bridge.request_handler import RequestHandler
from controller.bridge.tls import date_refusal, peer_validity, refused_client
from controller.bridge.wire_messages import (
    OBJECT_NAME,
    PROTOCOL_VERSION,
    Welcome,
)
from controller.common.connection_limits import ConnectionLimits
from controller.common.errors import BridgeError
from controller.common.rpc_connection import ServerConnection
from controller.common.rpc_server import TokenDaemon

LATEST_S = 1e11
"""Latest clock of a client that is a date: about the year 5000 (s)."""


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
        connection.lease_token = response.lease_token or connection.lease_token
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
    limits
        Limits on the connections.

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
        limits: ConnectionLimits,
    ) -> None:
        check_listen_address(listen_on)
        location = (
            {"unixsocket": str(listen_on.socket_path)}
            if listen_on.socket_path is not None
            else {"host": listen_on.host, "port": listen_on.port}
        )
        try:
            super().__init__(secret, PROTOCOL_VERSION, limits, interface=DaemonMetadata, **location)
        except OSError as error:
            raise BridgeError(f"cannot listen on {listen_on}: {error}") from error
        self.register(BridgeEndpoint(handler), OBJECT_NAME)
        self._handler = handler
        self._boot_id = handler.description.boot_id
        self._listen_on = listen_on
        self._tls = tls

    def address(self, secret_path: Path | None) -> BridgeAddress:
        """Return the address for clients on this machine."""
        if self._listen_on.socket_path is not None:
            return BridgeAddress(socket_path=self._listen_on.socket_path, secret_path=secret_path)
        host, port = self.sock.getsockname()[:2]
        return BridgeAddress(host=host, port=port, secret_path=secret_path)

    def validateHandshake(self, conn: Any, data: Any) -> Any:
        """Check secret, protocol version and certificate of a client; return a `Welcome`."""
        try:
            super().validateHandshake(conn, data)
        except (PermissionError, ValueError) as error:
            audit.warn("refused", peer=conn.peer, reason=str(error))
            raise
        validity = peer_validity(conn.sock)
        ends_s = validity.end_s if validity else None
        welcome = Welcome(boot_id=self._boot_id, clock_s=time.time(), certificate_ends_s=ends_s)
        return welcome.model_dump()

    def check_client(self, connection: ServerConnection, given: dict[str, Any]) -> None:
        """Refuse a client whose certificate is not valid now, with both clocks."""
        now_s = time.time()
        theirs_s = given.get("clock_s")
        clock_s = theirs_s if isinstance(theirs_s, float) and abs(theirs_s) < LATEST_S else now_s
        if refusal := date_refusal("session", peer_validity(connection.sock), now_s, clock_s):
            raise ValueError(refusal)

    def spared(self, connection: ServerConnection) -> bool:
        """Tell whether a connection belongs to the session in charge."""
        return self._handler.in_charge(connection.lease_token)

    def note_end(self, peer: str, error: Exception) -> None:
        """Write a connection that failed to the audit log."""
        text = f"{type(error).__name__}: {error}"
        audit.warn("connection ended", peer=peer, error=text, reason=refused_client(error))

    def secured(self, client: socket.socket) -> socket.socket:
        """Wrap a connection in TLS if the bridge uses it; nothing is exchanged yet."""
        if self._tls is None:
            return client
        return self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
