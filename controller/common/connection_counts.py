"""Connections of a server, counted: beyond a limit one of them gives way to the newcomer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from controller.common.peer_user import is_another_user, peer_uid
from controller.common.rpc_connection import ServerConnection, hang_up


@dataclass
class _Counted:
    sock: socket.socket
    uid: int | None


class UnauthenticatedConnections:
    """Connections before their handshake; if there are too many, the oldest is closed.

    Silent connections therefore never keep out a client that authenticates. Another user of this
    machine has a limit of their own, beyond which their own oldest connection is closed.
    """

    def __init__(self, limit: int, per_other_user: int) -> None:
        self._limit = limit
        self._per_other_user = per_other_user
        self._lock = threading.Lock()
        self._counted: dict[int, _Counted] = {}

    def add(self, sock: socket.socket) -> None:
        """Count `sock` until `remove`."""
        new = _Counted(sock, peer_uid(sock))
        with self._lock:
            self._counted[id(sock)] = new
            theirs = [key for key, other in self._counted.items() if other.uid == new.uid]
            if is_another_user(new.uid) and len(theirs) > self._per_other_user:
                hang_up(self._counted.pop(theirs[0]).sock)
            excess = len(self._counted) > self._limit
        if excess:
            self.close_oldest()

    def wrap(self, sock: socket.socket, wrapped: socket.socket) -> None:
        """Close `wrapped` in place of `sock`, whose connection TLS has taken over."""
        with self._lock:
            if id(sock) in self._counted:
                self._counted[id(sock)].sock = wrapped

    def remove(self, sock: socket.socket) -> None:
        """Count `sock` no longer."""
        with self._lock:
            self._counted.pop(id(sock), None)

    def close_oldest(self) -> None:
        """Close the oldest connection, if there is any."""
        with self._lock:
            if self._counted:
                hang_up(self._counted.pop(next(iter(self._counted))).sock)

    def close_all(self) -> None:
        """Close every connection."""
        with self._lock:
            for counted in self._counted.values():
                hang_up(counted.sock)
            self._counted.clear()


class AdmittedConnections:
    """Connections after their handshake; if there are too many, the longest idle one is closed.

    Another user of this machine has a limit of their own; their own connections give way to it.
    """

    def __init__(self, limit: int, per_other_user: int) -> None:
        self._limit = limit
        self._per_other_user = per_other_user
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
            everybody = list(self._connections.values())
            theirs = [other for other in everybody if other.uid == connection.uid]
            if is_another_user(connection.uid) and len(theirs) >= self._per_other_user:
                self._make_room(theirs, spared)
            elif len(everybody) >= self._limit:
                self._make_room(everybody, spared)
            self._connections[id(connection)] = connection

    def _make_room(
        self, among: list[ServerConnection], spared: Callable[[ServerConnection], bool]
    ) -> None:
        """Close the connection that is idle longest."""
        idle = [other for other in among if other.idle_since_s is not None and not spared(other)]
        if not idle:
            raise ValueError(f"all of {len(among)} connections are in use: close one")
        longest = min(idle, key=lambda other: other.idle_since_s or 0.0)
        del self._connections[id(longest)]
        longest.hang_up()

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
