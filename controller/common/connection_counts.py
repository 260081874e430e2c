"""Connections of a server, counted: beyond a limit one of them gives way to the newcomer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from controller.common.rpc_connection import ServerConnection, hang_up


class UnauthenticatedConnections:
    """Connections before their handshake; if there are too many, the oldest is closed.

    Silent connections therefore never keep out a client that authenticates.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}

    def add(self, sock: socket.socket) -> None:
        """Count `sock` until `remove`."""
        with self._lock:
            self._sockets[id(sock)] = sock
            excess = len(self._sockets) > self._limit
        if excess:
            self.close_oldest()

    def wrap(self, sock: socket.socket, wrapped: socket.socket) -> None:
        """Close `wrapped` in place of `sock`, whose connection TLS has taken over."""
        with self._lock:
            if id(sock) in self._sockets:
                self._sockets[id(sock)] = wrapped

    def remove(self, sock: socket.socket) -> None:
        """Count `sock` no longer."""
        with self._lock:
            self._sockets.pop(id(sock), None)

    def close_oldest(self) -> None:
        """Close the oldest connection, if there is any."""
        with self._lock:
            if self._sockets:
                hang_up(self._sockets.pop(next(iter(self._sockets))))

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for sock in self._sockets.values():
                hang_up(sock)
            self._sockets.clear()


class AdmittedConnections:
    """Connections after their handshake; if there are too many, the longest idle one is closed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._connections: dict[int, ServerConnection] = {}

    def add(self, connection: ServerConnection, spared: Callable[[ServerConnection], bool]) -> None:
        """Count `connection` until `remove`; make room by closing an idle one that is not spared.

        Raises
        ------
        ValueError
            If all others are in use or spared.
        """
        with self._lock:
            if len(self._connections) >= self._limit:
                idle = [
                    other
                    for other in self._connections.values()
                    if other.idle_since_s is not None and not spared(other)
                ]
                if not idle:
                    raise ValueError(f"all of {self._limit} connections are in use: close one")
                longest = min(idle, key=lambda other: other.idle_since_s or 0.0)
                del self._connections[id(longest)]
                longest.hang_up()
            self._connections[id(connection)] = connection

    def remove(self, connection: ServerConnection) -> None:
        """Count `connection` no longer."""
        with self._lock:
            self._connections.pop(id(connection), None)

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in self._connections.values():
                connection.hang_up()
            self._connections.clear()
