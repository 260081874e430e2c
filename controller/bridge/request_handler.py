"""Handle requests at the bridge: lease, limits, dose, one outcome per id. No network here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass

from pydantic import ValidationError

from controller.bridge import audit
from controller.bridge import wire_messages as m
from controller.bridge.frame_buffer import FrameBuffer, StoredFrame, encode
from controller.bridge.hardware_threads import HardwareThreads
from controller.bridge.lease import Lease
from controller.bridge.request_outcomes import RequestOutcomes
from controller.common.errors import os_error_text
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import (
    Frame,
    LeaseError,
    Microscope,
    MicroscopeError,
    OutOfLimitsError,
)
from controller.hardware.limits import (
    DoseAccount,
    SessionLimits,
    charge,
    check_defocus,
    check_scan,
    check_sweep,
    check_target,
    intersect_limits,
    proves_no_exposure,
    refund,
)
from controller.model.scan import FrameInfo, ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StageLimits, StagePosition
from controller.rehearsal.operator_actions import simulated_operator_at

WATCHDOG_INTERVAL_S = 0.1
CLOSE_TIMEOUT_S = 10.0
"""Longest wait for the thread that watches the lease (s)."""


@dataclass(frozen=True)
class Response:
    """A reply, and the pixels that follow it, if any."""

    reply: m.Reply
    pixels: memoryview | None = None
    lease_token: str = ""
    """Token of the lease with which the request was made; empty if it needed none."""


class RequestHandler:
    """Owner of the microscope; handles every request of an authenticated client.

    Parameters
    ----------
    open_microscope
        Opens the microscope; called on the work thread.
    lease_s
        Seconds without a renewal after which the bridge makes the column safe.
    """

    def __init__(self, open_microscope: Callable[[], Microscope], lease_s: float) -> None:
        self._hardware = HardwareThreads(open_microscope)
        self.description = self._hardware.description
        self._lease = Lease(lease_s)
        self._outcomes = RequestOutcomes()
        self._frames = FrameBuffer()
        self._stage_limits: StageLimits = self.description.stage_limits
        self._dose = DoseAccount()
        self._closing = threading.Event()
        self._watchdog = threading.Thread(target=self._watch_lease, name="lease", daemon=True)
        self._watchdog.start()

    def handle(self, text: str, peer: str) -> Response:
        """Validate one request, carry it out and return the reply; never raises.

        Parameters
        ----------
        text
            A request as JSON.
        peer
            Name of the client, for the audit log.
        """
        try:
            request = m.REQUEST.validate_json(text, strict=True)
        except ValidationError as error:
            line = f"refused: {errors_in_one_line(error)}"
            audit.warn("refused", peer=peer, reason=line)
            return Response(m.Failed(code=OutOfLimitsError.code, message=line))
        try:
            response = self._dispatch(request)
        except MicroscopeError as error:
            audit.warn(request.kind, peer=peer, error=f"{error.code}: {error}")
            return Response(m.Failed(code=error.code, message=str(error)))
        except OSError as error:
            audit.warn(request.kind, peer=peer, error=str(error))
            line = f"on the microscope PC: {os_error_text(error)}"
            return Response(m.Failed(code=MicroscopeError.code, message=line))
        except Exception as error:  # noqa: BLE001 -- a driver's own mistake is answered and logged
            audit.trace(request.kind, peer=peer, error="unexpected")
            line = f"{type(error).__name__}: {error}".splitlines()[0]
            return Response(m.Failed(code=MicroscopeError.code, message=line))
        _audit(request, response, peer)
        return response

    def in_charge(self, token: str) -> bool:
        """Tell whether `token` is that of the session in charge."""
        return self._lease.held_by(token)

    @property
    def lease_holder(self) -> str | None:
        """Name of the session in charge; None: nobody."""
        return self._lease.holder

    def fault(self) -> str:
        """Return which of the threads that keep the column safe has died; empty if none has."""
        if not self._watchdog.is_alive():
            return "the thread that watches the lease has died"
        if not self._hardware.watches():
            return "the thread for status and safety calls has died"
        return ""

    def close(self, reason: str) -> None:
        """Make the column safe and release it."""
        self._closing.set()
        self._watchdog.join(CLOSE_TIMEOUT_S)
        try:
            self._make_safe(reason)
        except MicroscopeError:
            audit.trace("while closing")
        self._hardware.close()

    def _dispatch(self, request: m.Request) -> Response:
        match request:
            case m.Describe():
                return _done(self.description)
            case m.ReadStatus():
                return _done(self._hardware.status())
            case m.ReadReport():
                return _done(self._report())
            case m.TakeLease(holder=holder, limits=limits):
                grant = self._take_lease(holder, limits)
                return Response(m.Done(value=grant), lease_token=grant.token)
            case m.Perform():
                return self._perform(request)
            case m.FindFrame(request_id=request_id):
                return _done(self._find_frame(request_id).info)
            case m.ReadPixels(request_id=request_id):
                pixels = self._find_frame(request_id).data
                return Response(m.Done(value=len(pixels)), pixels)
            case m.RenewLease(token=token):
                self._lease.renew(token)
                return Response(m.Done(), lease_token=token)
            case m.ReleaseLease(token=token):
                self._release(token)
            case m.Blank():
                self._hardware.blank()
            case m.StopStage():
                self._hardware.stop_stage()
            case m.MakeSafe(reason=reason):
                self._make_safe(reason)
        return Response(m.Done())

    def _take_lease(self, holder: str, limits: SessionLimits) -> m.LeaseGrant:
        stage_limits = intersect_limits(self.description.stage_limits, limits.stage)
        if self._lease.holder is None and self._hardware.busy():
            raise LeaseError(
                "the column still finishes an action of the previous session: try again"
            )
        grant = self._lease.take(holder)
        self._stage_limits = stage_limits
        self._dose = DoseAccount(
            spent_e_per_A2=limits.dose_spent_e_per_A2, budget_e_per_A2=limits.dose_budget_e_per_A2
        )
        return grant

    def _release(self, token: str) -> None:
        self._lease.check(token)
        try:
            self._make_safe("the session has released the microscope")
        finally:
            self._lease.release(token)

    def _report(self) -> m.BridgeReport:
        return m.BridgeReport(
            boot_id=self.description.boot_id,
            holder=self._lease.holder,
            dose_spent_e_per_A2=self._dose.spent_e_per_A2,
            dose_budget_e_per_A2=self._dose.budget_e_per_A2,
        )

    def _perform(self, request: m.Perform) -> Response:
        self._lease.check(request.token)
        self._check_limits(request.action)
        outcome = self._outcomes.get_or_start(
            request.request_id,
            request.action,
            lambda: self._hardware.submit(lambda microscope: self._act(microscope, request)),
        )
        if not wait([outcome], timeout=m.POLL_S).done:
            return Response(m.Pending(), lease_token=request.token)
        return Response(m.Done(value=outcome.result()), lease_token=request.token)

    def _check_limits(self, action: m.Action) -> None:
        match action:
            case m.MoveStage(target=target):
                check_target(target, self._stage_limits)
            case m.SetDefocus(defocus_nm=defocus_nm):
                check_defocus(defocus_nm, self.description.defocus_limits_nm)
            case m.Acquire(scan=scan):
                check_scan(scan, self.description)
            case m.AcquireTilting(scan=scan, to_alpha_deg=to_alpha_deg):
                check_scan(scan, self.description)
                check_sweep(scan, 0.0, self.description)  # only the column knows the start angle
                check_target(StagePosition(alpha_deg=to_alpha_deg), self._stage_limits)

    def _act(self, microscope: Microscope, request: m.Perform) -> object:
        """Carry out one action on the work thread, if its session still holds the lease."""
        self._lease.check(request.token)  # it may have expired in the queue
        request_id = request.request_id
        match request.action:
            case m.MoveStage(target=target):
                return microscope.move_stage(request_id, target)
            case m.SetCurrent(current_pA=current_pA):
                return microscope.set_current(request_id, current_pA)
            case m.SetDefocus(defocus_nm=defocus_nm):
                return microscope.set_defocus(request_id, defocus_nm)
            case m.Acquire(scan=scan):
                return self._acquire(microscope, scan, lambda: microscope.acquire(request_id, scan))
            case m.AcquireTilting(scan=scan, to_alpha_deg=to_alpha_deg):
                return self._acquire(
                    microscope,
                    scan,
                    lambda: microscope.acquire_tilting(request_id, scan, to_alpha_deg),
                )
            case m.Illuminate(duration_s=duration_s, field_nm=field_nm):
                current_pA = microscope.status().current_pA
                with self._charged(shower_dose_e_per_A2(current_pA, duration_s, field_nm)):
                    return microscope.illuminate(request_id, duration_s, field_nm)
            case m.Wait(duration_s=duration_s):
                microscope.wait(duration_s)
            case m.SimulateOperator(action=action):
                simulated_operator_at(microscope).simulate_operator(request_id, action)
        return None

    def _acquire(
        self, microscope: Microscope, scan: ScanSettings, expose: Callable[[], Frame]
    ) -> FrameInfo:
        with self._charged(scan.dose_e_per_A2(microscope.status().current_pA)):
            frame = expose()
        self._frames.put(encode(frame))
        return frame.info

    @contextmanager
    def _charged(self, dose_e_per_A2: float) -> Iterator[None]:
        self._dose = charge(self._dose, dose_e_per_A2)
        try:
            yield
        except MicroscopeError as error:
            if proves_no_exposure(error):
                self._dose = refund(self._dose, dose_e_per_A2)
            raise

    def _find_frame(self, request_id: str) -> StoredFrame:
        held = self._frames.get(request_id)
        if held is None:
            fetched = self._hardware.submit(
                lambda microscope: encode(microscope.fetch_frame(request_id))
            )
            if not wait([fetched], timeout=m.POLL_S).done:
                raise MicroscopeError(f"frame {request_id!r}: the column is busy, try again")
            held = fetched.result()
            self._frames.put(held)
        return held

    def _make_safe(self, reason: str) -> None:
        audit.warn("making safe", reason=reason)
        self._hardware.make_safe(reason)

    def _watch_lease(self) -> None:
        while not self._closing.wait(min(WATCHDOG_INTERVAL_S, self._lease.left_s())):
            self._release_if_expired()

    def _release_if_expired(self) -> None:
        """Make the column safe if the lease has expired, whatever the column answers."""
        holder = self._lease.expired_holder()
        if holder is None:
            return
        try:
            self._make_safe(f"{holder} no longer answers, so it no longer controls the microscope")
        except BaseException:  # noqa: BLE001 -- the dead man's switch outlives any driver
            audit.trace("after an expired lease")
        self._lease.release_expired()


def _done(value: object) -> Response:
    return Response(m.Done(value=value))


def _audit(request: m.Request, response: Response, peer: str) -> None:
    """Log actions once they have ended; status, lease renewals and pixels are not logged."""
    match request:
        case m.Perform(request_id=request_id, action=action) if isinstance(response.reply, m.Done):
            fields = action.model_dump(mode="json")
            audit.record("perform", peer=peer, request_id=request_id, action=fields)
        case m.TakeLease(holder=holder, limits=limits):
            fields = limits.model_dump(mode="json")
            audit.record("lease taken", peer=peer, holder=holder, limits=fields)
        case m.ReleaseLease() | m.Blank() | m.StopStage() | m.MakeSafe():
            audit.record(request.kind, peer=peer)
