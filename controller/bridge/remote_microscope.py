"""Client of the bridge: a :class:`Microscope` in another process or on another machine."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.bridge import wire_messages as m
from controller.bridge.bridge_address import BridgeAddress, read_connection_file
from controller.bridge.client_connection import CALL_TIMEOUT_S, ClientConnection
from controller.bridge.frame_buffer import as_bytes, checksum_matches, empty_pixels
from controller.bridge.safety_link import SafetyLink
from controller.common.errors import BridgeError
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import (
    AcquisitionError,
    ConnectionLostError,
    Description,
    Frame,
    LeaseError,
    MicroscopeError,
    OutOfLimitsError,
    Status,
)
from controller.hardware.limits import SessionLimits
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction

TRANSFERS = 3
"""Number of times a frame is read from the bridge's buffer until its checksum is right."""
RENEWALS_PER_LEASE = 4
"""Number of renewals in the duration of one lease."""


class RemoteMicroscope:
    """A :class:`Microscope` behind a bridge.

    Every calling thread has its own connection, so `status` from another thread never waits for an
    exposure. `blank`, `stop_stage` and `make_safe` have a connection that is opened beforehand and
    kept; a separate thread renews the lease over it. No action is repeated automatically after a
    :class:`ConnectionLostError`. Connect again; if the boot id is the same, repeat the request id
    to get the outcome of its first run.

    Parameters
    ----------
    address
        Address of the bridge.
    holder
        Name of this session, shown to any other session. None: read only, without a lease.
    limits
        Limits of this session.
    timeout_s
        Longest wait for a reply; the bridge replies within 2 s even during an action.

    Raises
    ------
    BridgeRefusedError, ConnectionLostError
        If the bridge refuses this client or does not answer.
    LeaseError
        If another session is in charge.
    """

    def __init__(
        self,
        address: BridgeAddress,
        holder: str | None,
        limits: SessionLimits | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._thread_local = threading.local()
        self._connections: list[ClientConnection] = []
        self._closing = threading.Event()
        self._safety = SafetyLink(self._new_connection)
        self._token = ""
        self.boot_id = ""
        """Boot id of the bridge; empty before the first handshake."""
        self.certificates_end_s: float | None = None
        """End of the first certificate to expire (seconds since 1970); None without TLS."""
        try:
            with self._connection() as connection:
                self.boot_id = connection.boot_id
                self.certificates_end_s = connection.certificates_end_s
            if holder is not None:
                self._safety.open()
                self._take_lease(holder, limits or SessionLimits())
        except BaseException:
            self.close()
            raise

    def describe(self) -> Description:
        """Return the properties and abilities of the microscope."""
        return Description.model_validate(self._ask(m.Describe()))

    def status(self) -> Status:
        """Read the state of the microscope; needs no lease."""
        return Status.model_validate(self._ask(m.ReadStatus()))

    def report(self) -> m.BridgeReport:
        """Read which session is in charge, and the dose charged to the specimen."""
        return m.BridgeReport.model_validate(self._ask(m.ReadReport()))

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move the stage to `target` and return the read-back."""
        return StagePosition.model_validate(
            self._perform(request_id, {"kind": "move_stage", "target": target})
        )

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set or verify the probe current (pA) and return the read-back."""
        return float(self._perform(request_id, {"kind": "set_current", "current_pA": current_pA}))

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus (nm) and return the read-back."""
        return float(self._perform(request_id, {"kind": "set_defocus", "defocus_nm": defocus_nm}))

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one frame and transfer its pixels."""
        return self._recorded(request_id, scan, {"kind": "acquire", "scan": scan})

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts, and transfer its pixels."""
        action = {"kind": "acquire_tilting", "scan": scan, "to_alpha_deg": to_alpha_deg}
        return self._recorded(request_id, scan, action)

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Expose a square field (beam shower); return the dose in e/A^2."""
        action = {"kind": "illuminate", "duration_s": duration_s, "field_nm": field_nm}
        return float(self._perform(request_id, action))

    def fetch_frame(self, request_id: str) -> Frame:
        """Return a recent frame again, without a new exposure; needs no lease."""
        return self._transfer(
            FrameInfo.model_validate(self._ask(m.FindFrame(request_id=request_id)))
        )

    def blank(self) -> None:
        """Blank the beam at once; needs no lease."""
        self._safety.ask(m.Blank())

    def stop_stage(self) -> None:
        """Stop the running stage move, if the column can; needs no lease."""
        self._safety.ask(m.StopStage())

    def make_safe(self, reason: str) -> None:
        """Bring the column to its safe state; needs no lease."""
        self._safety.ask(m.MakeSafe(reason=reason[: m.TEXT_LIMIT]))

    def wait(self, duration_s: float) -> None:
        """Wait on the microscope's own clock."""
        self._perform(f"wait-{uuid.uuid4()}", {"kind": "wait", "duration_s": duration_s})

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Have a simulated microscope carry out an operator action at the flip."""
        self._perform(request_id, {"kind": "simulate_operator", "action": action})

    def close(self) -> None:
        """Make the column safe, give the lease back and close the connections.

        A bridge that cannot be reached makes the column safe when the lease expires.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        if self._token:
            self._renewal.join()
            with suppress(MicroscopeError):
                self._ask(m.ReleaseLease(token=self._token))
        for connection in self._connections:
            connection.close()
        self._safety.close()

    def _recorded(self, request_id: str, scan: ScanSettings, action: dict[str, Any]) -> Frame:
        info = FrameInfo.model_validate(self._perform(request_id, action))
        if info.scan != scan:
            raise AcquisitionError(f"requested {scan!r}, but the microscope recorded {info.scan!r}")
        if info.request_id != request_id:
            raise AcquisitionError(
                f"requested frame {request_id}, received {info.request_id}: dropped"
            )
        return self._transfer(info)

    def _perform(self, request_id: str, action: dict[str, Any]) -> Any:
        """Have one action carried out once and wait for its outcome."""
        if not self._token:
            raise LeaseError(
                "this client is read only: connect with a holder's name to take control"
            )
        try:
            request = m.Perform.model_validate(
                {"token": self._token, "request_id": request_id, "action": action}
            )
        except ValidationError as error:
            raise OutOfLimitsError(f"refused: {errors_in_one_line(error)}") from error
        return self._ask(request)

    def _ask(self, request: m.Request) -> Any:
        """Send a request and return the reply's value; repeat it while the reply is `Pending`."""
        with self._connection() as connection:
            while True:
                reply = connection.call(request)
                if isinstance(reply, m.Done):
                    return reply.value

    @contextmanager
    def _connection(self) -> Iterator[ClientConnection]:
        """Yield this thread's connection; open a new one if it was lost."""
        connection: ClientConnection | None = getattr(self._thread_local, "connection", None)
        if connection is None or connection.closed:
            connection = self._thread_local.connection = self._open_connection()
        try:
            yield connection
        finally:
            if connection.closed:
                self._connections.remove(connection)

    def _open_connection(self) -> ClientConnection:
        connection = self._new_connection()
        self._connections.append(connection)
        return connection

    def _new_connection(self) -> ClientConnection:
        """Connect to the bridge, which must be the one of the first connection."""
        connection = ClientConnection(self._address, self._timeout_s)
        if self.boot_id not in ("", connection.boot_id):
            connection.close()
            raise ConnectionLostError(
                "the bridge has been restarted: connect again and read the stage position"
            )
        return connection

    def _transfer(self, info: FrameInfo) -> Frame:
        """Transfer the pixels of a frame; repeat if the checksum is wrong."""
        pixels = empty_pixels(info)
        for _ in range(TRANSFERS):
            with self._connection() as connection:
                connection.read_pixels(info.request_id, as_bytes(pixels))
            if checksum_matches(info, pixels):
                return Frame(info, pixels)
        raise AcquisitionError(f"frame {info.request_id!r}: damaged in {TRANSFERS} transfers")

    def _take_lease(self, holder: str, limits: SessionLimits) -> None:
        grant = m.LeaseGrant.model_validate(self._ask(m.TakeLease(holder=holder, limits=limits)))
        self._token = grant.token
        self._renewal = threading.Thread(
            target=self._renew_lease, args=(grant.lease_s,), name="lease-renewal", daemon=True
        )
        self._renewal.start()

    def _renew_lease(self, lease_s: float) -> None:
        """Renew the lease until it is lost; fall silent while a safety call does not get through.

        A lost connection is opened again at the next renewal.
        """
        while not self._closing.wait(lease_s / RENEWALS_PER_LEASE):
            if self._safety.silent():
                continue  # the bridge then makes the column safe by itself
            try:
                if not self._safety.renew(self._token):
                    self._ask(m.RenewLease(token=self._token))
            except LeaseError:
                return
            except (MicroscopeError, BridgeError, OSError):
                continue


def connect(
    connection_file: Path, holder: str | None, limits: SessionLimits | None = None
) -> RemoteMicroscope:
    """Connect to the bridge that wrote `connection_file`.

    Raises
    ------
    BridgeRefusedError, ConnectionLostError, LeaseError
        As :class:`RemoteMicroscope`.
    """
    return RemoteMicroscope(read_connection_file(connection_file).address, holder, limits)
