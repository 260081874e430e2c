"""The microscope as steps use it: every exposure is journaled and charged, and none is repeated.

An exposure is journaled before it is requested. If the connection is lost, the same request id is
sent again, which returns the first outcome. After a crash of the session a pending id is sent again
too, if the microscope's process is still the one that received it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from controller.common.errors import DualtiltError, SafetyStopError
from controller.hardware.interface import (
    BeamLostError,
    ConnectionLostError,
    Frame,
    LeaseError,
    Microscope,
    MicroscopeError,
    Status,
    ValvesClosedError,
)
from controller.hardware.limits import check_target, intersect_limits, proves_no_exposure
from controller.model.events import BeamChanged, Publish
from controller.model.request_ids import RequestName, make_request_id
from controller.model.scan import ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StagePosition
from controller.model.steps import step_name
from controller.procedures.judge_frame import check_delivery
from controller.rehearsal.operator_actions import OperatorAction, simulated_operator_at
from controller.session.entries import Exposed, Exposing
from controller.session.session import Session

T = TypeVar("T")
Connect = Callable[[], Microscope]
Suspend = Callable[[str, Callable[[], bool] | None], None]

FIRST_RETRY_AFTER_S = 0.25
MAX_RETRY_AFTER_S = 30.0
"""Interval between two attempts to reach a microscope that does not answer; doubled each time."""


class RestartedError(Exception):
    """The process that owns the hardware was restarted: it does not know earlier requests."""


class GuardedMicroscope:
    """Microscope whose exposures are journaled and charged, with limits and reconnection.

    Parameters
    ----------
    connect
        Connects to the microscope, directly or over the bridge, and takes its lease. Called again
        when the connection is lost or the lease has expired.
    session
        Session with journal and dose.
    publish
        Receives the state of the beam.
    suspend
        Pauses the session while the connection is lost.
    """

    def __init__(
        self, connect: Connect, session: Session, publish: Publish, suspend: Suspend
    ) -> None:
        self._connect = connect
        self._session = session
        self._publish = publish
        self._suspend = suspend
        self._restarted = False
        self._attach(connect())

    def _attach(self, microscope: Microscope) -> None:
        """Use this microscope from now on; close it if it fails at once."""
        try:
            description, status = microscope.describe(), microscope.status()
            limits = intersect_limits(description.stage_limits, self._session.protocol.limits.stage)
        except BaseException:
            with suppress(MicroscopeError):
                microscope.close()
            raise
        self.microscope, self.description, self._limits = microscope, description, limits
        self._boot_id = description.boot_id
        self.current_pA = status.current_pA

    def move(self, step_id: str, target: StagePosition) -> StagePosition:
        """Move the stage, wait until it is at rest, return the position read back.

        Raises
        ------
        OutOfLimitsError, StageError
            The target is beyond the limits of the protocol or the column; or the stage refused or
            is stuck.
        """
        check_target(target, self._limits)
        request_id = self._new_request_id(step_id, "move")
        return self._retry_while_lost(lambda: self.microscope.move_stage(request_id, target))

    def set_current(self, step_id: str, current_pA: float) -> float:
        """Set or verify the probe current; return the actual one, pA.

        Raises
        ------
        SafetyStopError
            The actual current differs from the requested one by more than the protocol allows.
        """
        request_id = self._new_request_id(step_id, "current")
        actual_pA = self._retry_while_lost(
            lambda: self.microscope.set_current(request_id, current_pA)
        )
        self.current_pA = actual_pA
        tolerance = self._session.protocol.limits.current_tolerance
        if abs(actual_pA - current_pA) > tolerance * current_pA:
            raise SafetyStopError(
                f"{step_name(step_id)}: the probe current is {actual_pA:.1f} pA; the protocol "
                f"requires {current_pA:g} pA within {tolerance:.0%}; set it at the column, then "
                "resume"
            )
        return actual_pA

    def ensure_current(self, step_id: str, current_pA: float) -> None:
        """Verify the current unless the last measurement is near enough: measuring costs dose.

        Raises
        ------
        SafetyStopError
            As `set_current`.
        """
        tolerance = self._session.protocol.limits.current_tolerance
        if abs(self.current_pA - current_pA) > tolerance * current_pA:
            self.set_current(step_id, current_pA)

    def set_defocus(self, step_id: str, defocus_nm: float) -> float:
        """Set the defocus; return the actual one, nm.

        Raises
        ------
        NotSupportedError, OutOfLimitsError
            The defocus cannot be set, or the value is beyond its limits.
        """
        request_id = self._new_request_id(step_id, "defocus")
        return self._retry_while_lost(lambda: self.microscope.set_defocus(request_id, defocus_nm))

    def defocus_nm(self) -> float:
        """Read the defocus, nm."""
        return self.status().defocus_nm

    def acquire(self, step_id: str, purpose: str, scan: ScanSettings) -> Frame:
        """Record a frame; the caller journals it or calls `charge_unkept`.

        Raises
        ------
        SafetyStopError
            The dose budget does not cover it; nothing is exposed.
        MicroscopeError
            Error of the microscope.
        """
        return self._record(step_id, purpose, scan, lambda id_: self.microscope.acquire(id_, scan))

    def acquire_tilting(
        self, step_id: str, purpose: str, scan: ScanSettings, to_alpha_deg: float
    ) -> Frame:
        """Record a frame while the stage tilts to an angle; otherwise as `acquire`.

        Raises
        ------
        OutOfLimitsError
            The angle is beyond the limits of the protocol or the column.
        """
        check_target(StagePosition(alpha_deg=to_alpha_deg), self._limits)
        return self._record(
            step_id,
            purpose,
            scan,
            lambda id_: self.microscope.acquire_tilting(id_, scan, to_alpha_deg),
        )

    def illuminate(self, step_id: str, purpose: str, duration_s: float, field_nm: float) -> None:
        """Expose a field without recording and charge its dose."""
        dose = shower_dose_e_per_A2(self.current_pA, duration_s, field_nm)
        actual = self._expose(
            step_id,
            purpose,
            dose,
            lambda request_id: (
                request_id,
                self.microscope.illuminate(request_id, duration_s, field_nm),
            ),
        )
        self._session.enter(Exposed(request_id=actual[0], dose_e_per_A2=actual[1]))

    def charge_unkept(self, frame: Frame) -> None:
        """Journal the dose of a frame that is not kept."""
        info = frame.info
        self._session.enter(Exposed(request_id=info.request_id, dose_e_per_A2=info.dose_e_per_A2))

    def blank(self) -> None:
        """Blank the beam."""
        self.microscope.blank()
        self._publish_beam(blanked=True)

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Have a simulated microscope do what the operator does at the flip."""
        self._retry_while_lost(
            lambda: simulated_operator_at(self.microscope).simulate_operator(request_id, action)
        )

    def wait(self, duration_s: float) -> None:
        """Let microscope time pass."""
        if duration_s > 0:
            self._retry_while_lost(lambda: self.microscope.wait(duration_s))

    def status(self) -> Status:
        """Read the microscope's status."""
        return self._retry_while_lost(lambda: self.microscope.status())

    def stage(self) -> StagePosition:
        """Read the stage position."""
        return self.status().stage

    def require_beam(self) -> None:
        """Check that the valves are open and the probe current is present.

        Raises
        ------
        ValvesClosedError, BeamLostError
            The valves are closed, or the current is too low.
        """
        status = self.status()
        if not status.valves_open:
            raise ValvesClosedError("the column valves are closed")
        if not self._is_near_set_current(status.current_pA):
            raise BeamLostError(
                f"the probe current is {status.current_pA:.1f} pA instead of "
                f"{self.current_pA:.1f} pA"
            )

    def has_beam(self) -> bool:
        """Tell whether the valves are open and the probe current is present; never wait."""
        try:
            status = self.microscope.status()
        except MicroscopeError:
            return False
        return status.valves_open and self._is_near_set_current(status.current_pA)

    def _is_near_set_current(self, current_pA: float) -> bool:
        tolerance = self._session.protocol.limits.current_tolerance
        return current_pA >= (1 - tolerance) * self.current_pA

    def _record(
        self, step_id: str, purpose: str, scan: ScanSettings, acquire: Callable[[str], Frame]
    ) -> Frame:
        def expose(request_id: str) -> Frame:
            frame = acquire(request_id)
            check_delivery(frame, request_id, scan, self._session.ledger.pixel_type)
            return frame

        return self._expose(step_id, purpose, scan.dose_e_per_A2(self.current_pA), expose)

    def _expose(
        self, step_id: str, purpose: str, dose_e_per_A2: float, act: Callable[[str], T]
    ) -> T:
        request_id = self._journal_intent(step_id, purpose, dose_e_per_A2)
        self._publish_beam(blanked=False)
        try:
            return self._retry_while_lost(lambda: act(request_id))
        except MicroscopeError as error:
            cost = 0.0 if proves_no_exposure(error) else dose_e_per_A2
            self._session.enter(Exposed(request_id=request_id, dose_e_per_A2=cost))
            raise
        finally:
            self._publish_beam(blanked=True)

    def _journal_intent(self, step_id: str, purpose: str, dose_e_per_A2: float) -> str:
        ledger = self._session.ledger
        pending = ledger.pending(step_id, purpose)
        if pending and (pending.intent.boot_id, pending.intent.dose_e_per_A2) == (
            self._boot_id,
            dose_e_per_A2,
        ):
            return pending.intent.request_id
        budget = self._session.protocol.limits.dose_budget_e_per_A2
        if ledger.dose_e_per_A2 + dose_e_per_A2 > budget:
            raise SafetyStopError(
                f"{step_name(step_id)}: exposure refused: it costs {dose_e_per_A2:.0f} e/Å², and "
                f"{ledger.dose_e_per_A2:.0f} of limits.dose_budget_e_per_A2 = {budget:.0f} "
                "are spent"
            )
        number = ledger.attempts(step_id, purpose)
        request_id = make_request_id(RequestName(ledger.session_id, step_id, purpose, str(number)))
        self._session.enter(
            Exposing(
                step_id=step_id,
                purpose=purpose,
                request_id=request_id,
                boot_id=self._boot_id,
                dose_e_per_A2=dose_e_per_A2,
            )
        )
        return request_id

    def _new_request_id(self, step_id: str, purpose: str) -> str:
        # moves and currents are absolute: repeating them after a crash is harmless
        session_id = self._session.ledger.session_id
        return make_request_id(RequestName(session_id, step_id, purpose, uuid.uuid4().hex[:8]))

    def _retry_while_lost(self, act: Callable[[], T]) -> T:
        """Return the outcome of an action; retry it while the connection is lost."""
        while True:
            try:
                return act()
            except (ConnectionLostError, LeaseError) as error:
                lost = isinstance(error, ConnectionLostError)
                what = "connection to the microscope PC" if lost else "control of the microscope"
                self._suspend(f"{what} lost; retrying: {error}", self._retry(lost))
                self._raise_if_restarted()

    def _retry(self, connection_lost: bool) -> Callable[[], bool]:
        """Return a function that tries to reach the microscope, ever less often."""
        pause_s = FIRST_RETRY_AFTER_S
        next_try_s = time.monotonic()

        def ready() -> bool:
            nonlocal pause_s, next_try_s
            if time.monotonic() < next_try_s:
                return False
            pause_s = min(2 * pause_s, MAX_RETRY_AFTER_S)
            next_try_s = time.monotonic() + pause_s
            return (connection_lost and self._answers()) or self._reconnect()

        return ready

    def _answers(self) -> bool:
        try:
            self.microscope.status()
        except MicroscopeError:
            return False
        return True

    def _reconnect(self) -> bool:
        before, boot_id = self.microscope, self._boot_id
        try:
            self._attach(self._connect())
        except (MicroscopeError, DualtiltError):
            return False
        if before is not self.microscope:
            with suppress(MicroscopeError):
                before.close()
        self._restarted = self._restarted or self._boot_id != boot_id
        return True

    def _raise_if_restarted(self) -> None:
        if self._restarted:
            self._restarted = False
            self.microscope.blank()
            raise RestartedError("the microscope's process was restarted")

    def _publish_beam(self, *, blanked: bool) -> None:
        self._publish(
            BeamChanged(
                blanked=blanked,
                current_pA=self.current_pA,
                dose_e_per_A2=self._session.ledger.dose_e_per_A2,
            )
        )
