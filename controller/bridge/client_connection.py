"""Client side of a connection: authenticated, for one thread."""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from Pyro5 import config, errors, protocol, serializers
from Pyro5.client import Proxy
from Pyro5.socketutil import SocketConnection

from controller.bridge import wire_messages as m
from controller.bridge.bridge_address import BridgeAddress, BridgeRefusedError, read_secret
from controller.bridge.tls import (
    client_context,
    date_refusal,
    peer_validity,
    refused_bridge,
    refused_session,
)
from controller.common.errors import one_line
from controller.common.rpc import LEAST_TIMEOUT_S  # importing it hardens Pyro5
from controller.common.rpc_connection import keep_alive
from controller.hardware.interface import (
    ERRORS,
    AcquisitionError,
    ConnectionLostError,
    MicroscopeError,
)

LEAST_BYTES_PER_S = 1 << 20
"""Slowest transfer of a frame that is waited for."""
CALL_TIMEOUT_S = 10.0
"""Longest wait for a reply. The bridge replies within POLL_S even during an action: no reply means
that it is gone."""


class ClientConnection:
    """Pyro proxy on a connection that we open ourselves; used by one thread at a time.

    Parameters
    ----------
    address
        The bridge.
    timeout_s
        Longest duration of one call.

    Raises
    ------
    BridgeRefusedError
        If the bridge refuses this client.
    ConnectionLostError
        If the bridge does not answer.
    """

    def __init__(self, address: BridgeAddress, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._sock = _open(address, timeout_s)
        try:
            welcome = _handshake(self._sock, address)
            self.boot_id = welcome.boot_id
            self.certificates_end_s = _check_dates(self._sock, address, welcome)
            self._proxy = Proxy(m.OBJECT_NAME, connected_socket=self._sock)
        except BaseException as error:
            self._sock.close()
            if address.socket_path is None and _ended_unanswered(error):
                reason = refused_session(address.certs)
                raise ConnectionLostError(f"bridge {address}: {reason}") from error
            if isinstance(error, errors.PyroError | OSError | ValidationError):
                raise ConnectionLostError(f"bridge {address} does not answer: {error}") from error
            raise

    def call(self, request: m.Request) -> m.Done | m.Pending:
        """Send one request and return the reply; never repeated automatically.

        Raises
        ------
        MicroscopeError
            Error that the bridge reports, as the class of its code.
        ConnectionLostError
            If no reply came; whether the bridge acted is then unknown.
        """
        try:
            self._proxy._pyroClaimOwnership()
            text = self._proxy.call(request.model_dump_json())
            reply = m.REPLY.validate_json(text)
        except Exception as error:
            self.close()
            raise ConnectionLostError(
                f"bridge {self._address}: connection lost during {request.kind}: {error}"
            ) from error
        except BaseException:
            self.close()  # interrupted before the reply: the next call must not read it
            raise
        if isinstance(reply, m.Failed):
            raise ERRORS.get(reply.code, MicroscopeError)(one_line(reply.message))
        return reply

    def read_pixels(self, request_id: str, buffer: memoryview) -> None:
        """Read the pixels of a frame into `buffer`, directly from the connection.

        Raises
        ------
        AcquisitionError
            If the bridge announces another number of bytes than `buffer` has.
        ConnectionLostError
            If not all of them arrive.
        """
        reply = self.call(m.ReadPixels(request_id=request_id))
        deadline_s = time.monotonic() + self._timeout_s + len(buffer) / LEAST_BYTES_PER_S
        try:
            if reply != m.Done(value=len(buffer)):
                raise AcquisitionError(
                    f"frame {request_id!r}: expected {len(buffer)} bytes, got {reply}"
                )
            self._receive_into(buffer, deadline_s)
        except OSError as error:
            self.close()
            raise ConnectionLostError(
                f"connection to the bridge lost during frame {request_id!r}: {error}"
            ) from error
        except BaseException:
            self.close()  # the next call must not read the other pixels as a reply
            raise

    def _receive_into(self, buffer: memoryview, deadline_s: float) -> None:
        """Fill `buffer` before the deadline, however steadily bytes come in."""
        try:
            while buffer:
                self._sock.settimeout(max(deadline_s - time.monotonic(), LEAST_TIMEOUT_S))
                count = self._sock.recv_into(buffer)
                if count == 0:
                    raise ConnectionResetError("the bridge closed the connection")
                buffer = buffer[count:]
        finally:
            if not self.closed:
                self._sock.settimeout(self._timeout_s)

    @property
    def closed(self) -> bool:
        """True once the connection was lost or closed."""
        return self._sock.fileno() < 0

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()


def _open(address: BridgeAddress, timeout_s: float) -> socket.socket:
    try:
        if address.socket_path is not None:
            return _open_local(address.socket_path, timeout_s)
        sock = socket.create_connection((address.host, address.port), timeout=timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(sock)
    except OSError as error:
        raise ConnectionLostError(f"no bridge answers at {address}: {error}") from error
    if address.certs is None:
        return sock
    try:
        return client_context(address.certs).wrap_socket(sock)
    except ssl.SSLEOFError as error:
        reason = refused_session(address.certs)
        raise ConnectionLostError(f"bridge {address}: {reason}") from error
    except ssl.SSLError as error:
        reason = refused_bridge(error, address.certs)
        raise BridgeRefusedError(f"bridge {address}: {reason}") from error
    except OSError as error:
        raise ConnectionLostError(f"no bridge answers at {address}: {error}") from error


def _ended_unanswered(error: BaseException) -> bool:
    """Tell whether the other side hung up or sent a TLS alert, rather than nothing."""
    return isinstance(error, errors.ConnectionClosedError | ssl.SSLError | ConnectionError)


def _open_local(path: Path, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def _check_dates(sock: socket.socket, address: BridgeAddress, welcome: m.Welcome) -> float | None:
    """Refuse a bridge whose certificate is not valid now; return the earlier end of both (s)."""
    bridges = peer_validity(sock)
    if refusal := date_refusal("bridge", bridges, welcome.clock_s, time.time()):
        raise BridgeRefusedError(f"bridge {address}: {refusal}")
    if bridges is None:
        return None
    return min(bridges.end_s, welcome.certificate_ends_s or bridges.end_s)


def _handshake(sock: socket.socket, address: BridgeAddress) -> m.Welcome:
    """Carry out Pyro's handshake with our secret, version and clock."""
    connection = SocketConnection(sock, keep_open=True)
    credentials = {
        "token": read_secret(address.secret_path),
        "version": m.PROTOCOL_VERSION,
        "clock_s": time.time(),
    }
    serializer = serializers.serializers[config.SERIALIZER]
    data = serializer.dumps({"handshake": credentials, "object": m.OBJECT_NAME})
    connection.send(
        protocol.SendingMessage(protocol.MSG_CONNECT, 0, 0, serializer.serializer_id, data).data
    )
    answer = protocol.recv_stub(connection, [protocol.MSG_CONNECTOK, protocol.MSG_CONNECTFAIL])
    content: Any = serializer.loads(answer.data)
    if answer.type == protocol.MSG_CONNECTFAIL:
        raise BridgeRefusedError(f"bridge {address}: {one_line(str(content))}")
    return m.Welcome.model_validate(content["handshake"])
