"""Connection kept for blanking and stopping: opened before it is needed, and proved by heartbeats.

An abort that first had to open a connection could fail where the bridge has no room for one, while
the heartbeat of the same session keeps the beam on. Here the heartbeat uses the connection of the
abort. Where an abort does not get through, the heartbeat stops, and the bridge makes the column
safe when the lease expires.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from controller.bridge import wire_messages as m
from controller.bridge.bridge_address import BridgeRefusedError
from controller.bridge.client_connection import ClientConnection
from controller.hardware.interface import ConnectionLostError

ANSWER_WITHIN_S = 1.0
"""Time within which a safety call must be answered, or else the heartbeat stops (s)."""


class SafetyLink:
    """One connection for safety calls and heartbeats, for any thread.

    Parameters
    ----------
    open_connection
        Opens a connection to the bridge.
    """

    def __init__(self, open_connection: Callable[[], ClientConnection]) -> None:
        self._open_connection = open_connection
        self._in_use = threading.Lock()
        self._connection: ClientConnection | None = None
        self._begun_s: dict[int, float] = {}
        self._failed = False

    def open(self) -> None:
        """Open the connection if it is not open."""
        with self._in_use:
            self._opened()

    def ask(self, request: m.Blank | m.StopStage | m.MakeSafe) -> Any:
        """Make a safety call; try a new connection if the kept one is lost.

        A safety call may be repeated: blanking twice is blanking.

        Raises
        ------
        MicroscopeError
            Error that the bridge reports, or the loss of the connection.
        """
        with self._counted(), self._in_use:
            connection = self._opened()
            try:
                return _value(connection.call(request))
            except ConnectionLostError:
                return _value(self._opened().call(request))

    def renew(self, token: str) -> bool:
        """Renew the lease over this connection; return False while a safety call uses it.

        Raises
        ------
        MicroscopeError
            If the connection is lost and no new one can be opened, or the lease has ended.
        """
        if not self._in_use.acquire(blocking=False):
            return False
        try:
            self._opened().call(m.RenewLease(token=token))
        finally:
            self._in_use.release()
        return True

    def silent(self) -> bool:
        """Tell whether a safety call does not get through: then the session must fall silent."""
        now_s = time.monotonic()
        return self._failed or any(
            now_s - begun_s > ANSWER_WITHIN_S for begun_s in list(self._begun_s.values())
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> ClientConnection:
        if self._connection is None or self._connection.closed:
            self._connection = self._open_connection()
        return self._connection

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Note when a safety call begins, and whether the last one got through."""
        key = threading.get_ident()
        self._begun_s[key] = time.monotonic()
        try:
            yield
        except (ConnectionLostError, BridgeRefusedError, OSError, RuntimeError):
            self._failed = True
            raise
        else:
            self._failed = False
        finally:
            del self._begun_s[key]


def _value(reply: m.Done | m.Pending) -> Any:
    return reply.value if isinstance(reply, m.Done) else None
