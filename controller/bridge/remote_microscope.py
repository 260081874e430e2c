"""The microscope at the other end of the bridge."""

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
from controller.bridge.frame_buffer import as_bytes, empty_pixels, intact
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
"""How often a damaged frame is read again from the bridge's buffer: no new dose."""
BEATS_PER_LEASE = 4


class RemoteMicroscope:
    """A :class:`Microscope` in another process, or on another machine.

    Every thread that calls gets a connection of its own, so `status`, `blank`, `stop_stage` and
    `make_safe` from another thread are never behind an exposure. A thread of its own renews the
    lease. Nothing is repeated blindly: after a :class:`ConnectionLostError` connect anew; with
    the same boot id a repeated request id returns its first outcome.

    Parameters
    ----------
    address
        The bridge.
    holder
        Who is in charge from now on; shown to whoever else tries. None only looks.
    limits
        What this session may do.
    timeout_s
        How long the bridge may be silent; it answers within 2 s even while an action lasts.

    Raises
    ------
    BridgeRefusedError, ConnectionLostError
        If the bridge does not let us in or does not answer.
    LeaseError
        If somebody else is in charge.
    """

    def __init__(
        self,
        address: BridgeAddress,
        holder: str | None,
        limits: SessionLimits | None = None,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> None:
        self._address = address
        self._patience_s = timeout_s
        self._own = threading.local()
        self._links: list[ClientConnection] = []
        self._closing = threading.Event()
        self._token = ""
        self.boot_id = ""
        """Of the bridge; empty until the first greeting."""
        try:
            with self._linked() as link:
                self.boot_id = link.boot_id
            if holder is not None:
                self._take_charge(holder, limits or SessionLimits())
        except BaseException:
            self.close()
            raise

    def describe(self) -> Description:
        """Say what this microscope is and can do."""
        return Description.model_validate(self._ask(m.Describe()))

    def status(self) -> Status:
        """Look at the column; needs no lease."""
        return Status.model_validate(self._ask(m.ReadStatus()))

    def report(self) -> m.BridgeReport:
        """Ask the bridge who is in charge and what the specimen has been charged."""
        return m.BridgeReport.model_validate(self._ask(m.ReadReport()))

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move to `target` and return where the stage says it is."""
        return StagePosition.model_validate(
            self._perform(request_id, {"kind": "move_stage", "target": target})
        )

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set or verify the probe current; return the actual one, pA."""
        return float(self._perform(request_id, {"kind": "set_current", "current_pA": current_pA}))

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus; return the actual one, nm."""
        return float(self._perform(request_id, {"kind": "set_defocus", "defocus_nm": defocus_nm}))

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one frame and bring its pixels over."""
        return self._recorded(request_id, scan, {"kind": "acquire", "scan": scan})

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts, and bring its pixels over."""
        action = {"kind": "acquire_tilting", "scan": scan, "to_alpha_deg": to_alpha_deg}
        return self._recorded(request_id, scan, action)

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Shower a square field; return the dose in e/A^2."""
        action = {"kind": "illuminate", "duration_s": duration_s, "field_nm": field_nm}
        return float(self._perform(request_id, action))

    def fetch_frame(self, request_id: str) -> Frame:
        """Return a recent frame again: no new dose, no lease."""
        return self._transfer(
            FrameInfo.model_validate(self._ask(m.FindFrame(request_id=request_id)))
        )

    def blank(self) -> None:
        """Blank the beam at once; anybody let in may."""
        self._ask(m.Blank())

    def stop_stage(self) -> None:
        """Stop a move under way where the column can; anybody let in may."""
        self._ask(m.StopStage())

    def make_safe(self, reason: str) -> None:
        """Bring the column to its safe state; anybody let in may."""
        self._ask(m.MakeSafe(reason=reason[: m.TEXT_LIMIT]))

    def wait(self, duration_s: float) -> None:
        """Let the microscope's own time pass."""
        self._perform(f"wait-{uuid.uuid4()}", {"kind": "wait", "duration_s": duration_s})

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Play the operator's action at the flip, where simulated."""
        self._perform(request_id, {"kind": "simulate_operator", "action": action})

    def close(self) -> None:
        """Leave the column safe, give the lease back and hang up.

        A lost bridge is left to itself: it makes safe when the lease runs out.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        if self._token:
            self._heart.join()
            with suppress(MicroscopeError):
                self._ask(m.ReleaseLease(token=self._token))
        for link in self._links:
            link.close()

    def _recorded(self, request_id: str, scan: ScanSettings, action: dict[str, Any]) -> Frame:
        info = FrameInfo.model_validate(self._perform(request_id, action))
        if info.scan != scan:
            raise AcquisitionError(f"asked for {scan!r}, the microscope recorded {info.scan!r}")
        if info.request_id != request_id:
            raise AcquisitionError(f"asked for {request_id}, was given {info.request_id}: dropped")
        return self._transfer(info)

    def _perform(self, request_id: str, action: dict[str, Any]) -> Any:
        """Have one action done once and wait for its outcome."""
        if not self._token:
            raise LeaseError("this client only looks: connect with a holder's name to take charge")
        try:
            request = m.Perform.model_validate(
                {"token": self._token, "request_id": request_id, "action": action}
            )
        except ValidationError as error:
            raise OutOfLimitsError(f"refused: {errors_in_one_line(error)}") from error
        return self._ask(request)

    def _ask(self, request: m.Request) -> Any:
        """Ask on this thread's own link, again only where the bridge says "still at it"."""
        with self._linked() as link:
            while True:
                reply = link.call(request)
                if isinstance(reply, m.Done):
                    return reply.value

    @contextmanager
    def _linked(self) -> Iterator[ClientConnection]:
        """Lend this thread's link; one that was lost in use is not lent again."""
        link: ClientConnection | None = getattr(self._own, "link", None)
        if link is None or link.closed:
            link = self._own.link = self._open_link()
        try:
            yield link
        finally:
            if link.closed:
                self._links.remove(link)

    def _open_link(self) -> ClientConnection:
        link = ClientConnection(self._address, self._patience_s)
        if self.boot_id not in ("", link.boot_id):
            link.close()
            raise ConnectionLostError(
                "the bridge has been restarted: connect anew and read the stage again"
            )
        self._links.append(link)
        return link

    def _transfer(self, info: FrameInfo) -> Frame:
        """Bring a frame's pixels over, again from the bridge's buffer where bytes were damaged."""
        pixels = empty_pixels(info)
        for _ in range(TRANSFERS):
            with self._linked() as link:
                link.read_pixels(info.request_id, as_bytes(pixels))
            if intact(info, pixels):
                return Frame(info, pixels)
        raise AcquisitionError(f"frame {info.request_id!r} arrived damaged {TRANSFERS} times")

    def _take_charge(self, holder: str, limits: SessionLimits) -> None:
        grant = m.LeaseGrant.model_validate(self._ask(m.TakeLease(holder=holder, limits=limits)))
        self._token = grant.token
        self._heart = threading.Thread(
            target=self._beat, args=(grant.lease_s,), name="bridge-heartbeat", daemon=True
        )
        self._heart.start()

    def _beat(self, lease_s: float) -> None:
        """Renew the lease until it is lost; a lost connection is tried again at the next beat."""
        while not self._closing.wait(lease_s / BEATS_PER_LEASE):
            try:
                self._ask(m.RenewLease(token=self._token))
            except LeaseError:
                return
            except MicroscopeError:
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
