"""A bridge in this process, without a network: any request or reply can be disturbed."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from controller.bridge import wire_messages as m
from controller.bridge.bridge_address import BridgeAddress
from controller.bridge.client_connection import ClientConnection
from controller.bridge.remote_microscope import RemoteMicroscope
from controller.bridge.request_handler import RequestHandler
from controller.hardware.interface import ERRORS, ConnectionLostError, Microscope
from controller.hardware.limits import SessionLimits

LEASE_S = 60.0


class LocalBridge:
    """Request handler that can be restarted, and whose requests and replies can be lost.

    Parameters
    ----------
    open_microscope
        Opens the column for a boot with the given number.
    """

    def __init__(self, open_microscope: Callable[[int], Microscope]) -> None:
        self._open_microscope = open_microscope
        self._boots = itertools.count(1)
        self.before: Callable[[m.Request], None] = lambda request: None
        """Called before each request reaches the bridge; may raise."""
        self.after: Callable[[m.Request], None] = lambda request: None
        """Called before each reply reaches the session; may raise."""
        self.handler = self._started()

    def restart(self) -> None:
        """End the bridge with the column safe, and start another one."""
        self.handler.close("restarted")
        self.handler = self._started()

    def take_lease_away(self) -> None:
        """Have the lease expire now."""
        self.handler._make_safe("the lease was taken away")
        self.handler._lease._drop()

    def connect(self, limits: SessionLimits | None = None) -> RemoteMicroscope:
        """Connect a session."""
        return LocalMicroscope(self, limits)

    def close(self) -> None:
        """End the bridge."""
        self.handler.close("the bridge ends")

    def _started(self) -> RequestHandler:
        boot = next(self._boots)
        return RequestHandler(lambda: self._open_microscope(boot), LEASE_S)


class LocalConnection(ClientConnection):
    """Connection that calls the handler of a `LocalBridge`."""

    def __init__(self, bridge: LocalBridge) -> None:
        self._bridge = bridge
        self._handler = bridge.handler
        self._closed = False
        self.boot_id = self._handler.description.boot_id
        self.certificates_end_s = None

    def call(self, request: m.Request) -> m.Done | m.Pending:
        """Answer one request; the connection is lost if a disturbance or a restart wants it."""
        return self._answer(request)[0]

    def read_pixels(self, request_id: str, buffer: memoryview) -> None:
        """Copy the pixels of a frame."""
        _, pixels = self._answer(m.ReadPixels(request_id=request_id))
        buffer[:] = pixels

    @property
    def closed(self) -> bool:
        """True once the connection was lost or closed."""
        return self._closed

    def close(self) -> None:
        """Close the connection."""
        self._closed = True

    def _answer(self, request: m.Request) -> tuple[m.Done | m.Pending, Any]:
        try:
            self._bridge.before(request)
            if self._handler is not self._bridge.handler:
                raise ConnectionLostError("the bridge has ended")
            response = self._handler.handle(request.model_dump_json(), "local")
            self._bridge.after(request)
        except ConnectionLostError:
            self.close()
            raise
        reply = m.REPLY.validate_json(response.reply.model_dump_json())
        if isinstance(reply, m.Failed):
            raise ERRORS[reply.code](reply.message)
        return reply, response.pixels


class LocalMicroscope(RemoteMicroscope):
    """Client of a `LocalBridge`."""

    def __init__(self, bridge: LocalBridge, limits: SessionLimits | None) -> None:
        self._bridge = bridge
        super().__init__(BridgeAddress(), "the session", limits)

    def _new_connection(self) -> ClientConnection:
        connection = LocalConnection(self._bridge)
        if self.boot_id not in ("", connection.boot_id):
            raise ConnectionLostError("the bridge has been restarted")
        return connection
