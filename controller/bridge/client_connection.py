"""One authenticated connection to a bridge, for one thread."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

from Pyro5 import config, errors, protocol, serializers
from Pyro5.client import Proxy
from Pyro5.socketutil import SocketConnection

import controller.common.rpc  # noqa: F401 -- hardens Pyro5
from controller.bridge import wire_messages as m
from controller.bridge.bridge_address import BridgeAddress, BridgeRefusedError, read_secret
from controller.bridge.tls import client_context
from controller.hardware.interface import (
    ERRORS,
    AcquisitionError,
    ConnectionLostError,
    MicroscopeError,
)

CALL_TIMEOUT_S = 10.0
"""The bridge answers within POLL_S even while an action lasts: longer means it is gone."""

BROKEN_OFF = "receiving:"
"""How Pyro begins to say that a greeting did not come whole: the network's fault, no refusal."""


class ClientConnection:
    """A Pyro proxy over a connection of our own making, never shared between threads.

    Parameters
    ----------
    address
        The bridge.
    timeout_s
        How long one call may take.

    Raises
    ------
    BridgeRefusedError
        If the bridge does not let us in.
    ConnectionLostError
        If nobody answers.
    """

    def __init__(self, address: BridgeAddress, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._address = address
        self._sock = _open(address, timeout_s)
        try:
            self.boot_id = _greet(self._sock, address)
            self._proxy = Proxy(m.OBJECT_NAME, connected_socket=self._sock)
        except BaseException as error:
            self._sock.close()
            if isinstance(error, errors.PyroError | OSError):
                raise ConnectionLostError(f"bridge {address} does not answer: {error}") from error
            raise

    def call(self, request: m.Request) -> m.Done | m.Pending:
        """Ask once; a lost connection is never asked again by itself.

        Raises
        ------
        MicroscopeError
            What the bridge reports, as the typed error of its code.
        ConnectionLostError
            If the answer did not come; whether the bridge acted is unknown.
        """
        try:
            text = self._proxy.call(request.model_dump_json())
            reply = m.REPLY.validate_json(text)
        except Exception as error:
            self.close()
            raise ConnectionLostError(
                f"bridge {self._address} lost during {request.kind}: {error}"
            ) from error
        except BaseException:
            self.close()  # interrupted between request and reply: the reply must not be misread
            raise
        if isinstance(reply, m.Failed):
            raise ERRORS.get(reply.code, MicroscopeError)(reply.message)
        return reply

    def read_pixels(self, request_id: str, room: memoryview) -> None:
        """Read a frame's pixels into `room`, straight from the connection.

        Raises
        ------
        AcquisitionError
            If the bridge has another number of bytes than `room`.
        ConnectionLostError
            If they do not all come.
        """
        reply = self.call(m.ReadPixels(request_id=request_id))
        try:
            if reply != m.Done(value=len(room)):
                raise AcquisitionError(f"frame {request_id!r}: {len(room)} bytes expected: {reply}")
            self._receive_into(room)
        except OSError as error:
            self.close()
            raise ConnectionLostError(f"bridge lost in frame {request_id!r}: {error}") from error
        except BaseException:
            self.close()  # the rest of the pixels must not be read as a reply
            raise

    def _receive_into(self, room: memoryview) -> None:
        while room:
            count = self._sock.recv_into(room)
            if count == 0:
                raise ConnectionResetError("hung up")
            room = room[count:]

    @property
    def closed(self) -> bool:
        """True once it was lost or hung up."""
        return self._sock.fileno() < 0

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


def _open(address: BridgeAddress, timeout_s: float) -> socket.socket:
    try:
        if address.socket_path is not None:
            return _open_local(address.socket_path, timeout_s)
        sock = socket.create_connection((address.host, address.port), timeout=timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if address.certs is None else client_context(address.certs).wrap_socket(sock)
    except ssl.SSLError as error:
        raise BridgeRefusedError(f"bridge {address}: {error.reason}: wrong certificate") from error
    except OSError as error:
        raise ConnectionLostError(f"no bridge at {address}: {error}") from error


def _open_local(path: Path, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def _greet(sock: socket.socket, address: BridgeAddress) -> str:
    """Shake hands as Pyro does, with our own words; return the bridge's boot id."""
    connection = SocketConnection(sock, keep_open=True)
    greeting = {"token": read_secret(address.secret_path), "version": m.PROTOCOL_VERSION}
    serializer = serializers.serializers[config.SERIALIZER]
    data = serializer.dumps({"handshake": greeting, "object": m.OBJECT_NAME})
    connection.send(
        protocol.SendingMessage(protocol.MSG_CONNECT, 0, 0, serializer.serializer_id, data).data
    )
    answer = protocol.recv_stub(connection, [protocol.MSG_CONNECTOK, protocol.MSG_CONNECTFAIL])
    content: Any = serializer.loads(answer.data)
    if answer.type == protocol.MSG_CONNECTFAIL:
        if str(content).startswith(BROKEN_OFF):
            raise ConnectionLostError(f"bridge {address}: the greeting came too late: {content}")
        raise BridgeRefusedError(f"bridge {address}: {content}")
    return str(content["handshake"])
