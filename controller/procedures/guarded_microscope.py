"""The microscope as steps use it: every exposure journaled and charged, nothing repeated blindly.

An exposure is journaled before it is asked for. When the connection is lost the same request id
is asked again, which returns the first outcome; after a crash of the session a pending id is
taken up again the same way, as long as the microscope's process is still the one that had it.
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
from controller.procedures.judge_frame import check_delivery
from controller.rehearsal.operator_actions import OperatorAction, simulated_operator_at
from controller.session.entries import Exposed, Exposing
from controller.session.session import Session

T = TypeVar("T")
Connect = Callable[[], Microscope]
Suspend = Callable[[str, Callable[[], bool] | None], None]

FIRST_LOOK_AFTER_S = 0.25
LAST_LOOK_AFTER_S = 30.0
"""Between two looks at a microscope that does not answer: doubled each time."""


class RestartedError(Exception):
    """The process that owns the hardware is a new one: what it was asked before is unknown."""


class GuardedMicroscope:
    """The session's hands on the microscope.

    Parameters
    ----------
    connect
        Takes charge of the microscope, direct or over the bridge; called again when the
        connection is lost or the lease has run out.
    session
        Journal and dose.
    publish
        For the state of the beam.
    suspend
        How to pause while the connection is lost.
    """

    def __init__(
        self, connect: Connect, session: Session, publish: Publish, suspend: Suspend
    ) -> None:
        self._connect = connect
        self._session = session
        self._publish = publish
        self._suspend = suspend
        self._restarted = False
        self._meet(connect())

    def _meet(self, microscope: Microscope) -> None:
        """Work with this microscope from now on; one that fails at once is let go again."""
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
        """Move the stage, wait until it is at rest, return where it says it is.

        Raises
        ------
        OutOfLimitsError, StageError
            Beyond the limits of the protocol or the column; or it refused, or is stuck.
        """
        check_target(target, self._limits)
        request_id = self._fresh_id(step_id, "move")
        return self._surely(lambda: self.microscope.move_stage(request_id, target))

    def set_current(self, step_id: str, current_pA: float) -> float:
        """Set or verify the probe current; return the actual one, pA.

        Raises
        ------
        SafetyStopError
            It is further from the one wanted than the protocol allows.
        """
        request_id = self._fresh_id(step_id, "current")
        actual_pA = self._surely(lambda: self.microscope.set_current(request_id, current_pA))
        self.current_pA = actual_pA
        tolerance = self._session.protocol.limits.current_tolerance
        if abs(actual_pA - current_pA) > tolerance * current_pA:
            raise SafetyStopError(
                f"{step_id}: the probe current is {actual_pA:.1f} pA, the protocol wants "
                f"{current_pA:g} pA within {tolerance:.0%}; set it at the column, then resume"
            )
        return actual_pA

    def have_current(self, step_id: str, current_pA: float) -> None:
        """Verify the current, unless the one measured last will do: a look at the screen has its
        price in dose.

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
            It cannot be set, or not so far.
        """
        request_id = self._fresh_id(step_id, "defocus")
        return self._surely(lambda: self.microscope.set_defocus(request_id, defocus_nm))

    def defocus_nm(self) -> float:
        """Ask where the focus is, as the column counts it."""
        return self.status().defocus_nm

    def acquire(self, step_id: str, purpose: str, scan: ScanSettings) -> Frame:
        """Record a frame and charge it; the caller journals it, or calls `settle`.

        Raises
        ------
        SafetyStopError
            The dose budget does not cover it; nothing is exposed.
        MicroscopeError
            As the microscope says.
        """
        return self._record(step_id, purpose, scan, lambda id_: self.microscope.acquire(id_, scan))

    def acquire_tilting(
        self, step_id: str, purpose: str, scan: ScanSettings, to_alpha_deg: float
    ) -> Frame:
        """Record a frame while the stage tilts to an angle; else as `acquire`.

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
        """Expose a field without recording; charged like a frame."""
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

    def settle(self, frame: Frame) -> None:
        """Journal what a frame cost that is not kept."""
        info = frame.info
        self._session.enter(Exposed(request_id=info.request_id, dose_e_per_A2=info.dose_e_per_A2))

    def blank(self) -> None:
        """Blank the beam."""
        self.microscope.blank()
        self._tell_beam(blanked=True)

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Have a simulated microscope carry out what the operator does at the flip."""
        self._surely(
            lambda: simulated_operator_at(self.microscope).simulate_operator(request_id, action)
        )

    def wait(self, duration_s: float) -> None:
        """Let microscope time pass."""
        if duration_s > 0:
            self._surely(lambda: self.microscope.wait(duration_s))

    def status(self) -> Status:
        """Look at the column."""
        return self._surely(lambda: self.microscope.status())

    def stage(self) -> StagePosition:
        """Ask where the stage is."""
        return self.status().stage

    def require_beam(self) -> None:
        """Look whether the current is there and may be used.

        Raises
        ------
        ValvesClosedError, BeamLostError
            It is not.
        """
        status = self.status()
        if not status.valves_open:
            raise ValvesClosedError("the column valves are closed")
        if not self._is_full(status.current_pA):
            raise BeamLostError(
                f"the probe current is {status.current_pA:.1f} pA instead of "
                f"{self.current_pA:.1f} pA"
            )

    def has_beam(self) -> bool:
        """Tell whether the current is there and may be used; never waits."""
        try:
            status = self.microscope.status()
        except MicroscopeError:
            return False
        return status.valves_open and self._is_full(status.current_pA)

    def _is_full(self, current_pA: float) -> bool:
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
        request_id = self._intend(step_id, purpose, dose_e_per_A2)
        self._tell_beam(blanked=False)
        try:
            return self._surely(lambda: act(request_id))
        except MicroscopeError as error:
            cost = 0.0 if proves_no_exposure(error) else dose_e_per_A2
            self._session.enter(Exposed(request_id=request_id, dose_e_per_A2=cost))
            raise
        finally:
            self._tell_beam(blanked=True)

    def _intend(self, step_id: str, purpose: str, dose_e_per_A2: float) -> str:
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
                f"{step_id}: exposure refused: it costs {dose_e_per_A2:.0f} e/Å², and "
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

    def _fresh_id(self, step_id: str, purpose: str) -> str:
        # moves and currents are absolute, hence harmless to do anew after a crash
        session_id = self._session.ledger.session_id
        return make_request_id(RequestName(session_id, step_id, purpose, uuid.uuid4().hex[:8]))

    def _surely(self, act: Callable[[], T]) -> T:
        """Get the one outcome of an action, however often the connection is lost on the way."""
        while True:
            try:
                return act()
            except (ConnectionLostError, LeaseError) as error:
                lost = isinstance(error, ConnectionLostError)
                self._suspend(
                    f"the microscope is out of reach: {error}; goes on when it is back",
                    self._retry(lost),
                )
                self._refuse_restarted()

    def _retry(self, connection_lost: bool) -> Callable[[], bool]:
        """Make what looks for the microscope, ever less often, and says when it is back."""
        pause_s = FIRST_LOOK_AFTER_S
        next_look_s = time.monotonic()

        def ready() -> bool:
            nonlocal pause_s, next_look_s
            if time.monotonic() < next_look_s:
                return False
            pause_s = min(2 * pause_s, LAST_LOOK_AFTER_S)
            next_look_s = time.monotonic() + pause_s
            return (connection_lost and self._answers()) or self._connected_anew()

        return ready

    def _answers(self) -> bool:
        try:
            self.microscope.status()
        except MicroscopeError:
            return False
        return True

    def _connected_anew(self) -> bool:
        before, boot_id = self.microscope, self._boot_id
        try:
            self._meet(self._connect())
        except (MicroscopeError, DualtiltError):
            return False
        if before is not self.microscope:
            with suppress(MicroscopeError):
                before.close()
        self._restarted = self._restarted or self._boot_id != boot_id
        return True

    def _refuse_restarted(self) -> None:
        if self._restarted:
            self._restarted = False
            self.microscope.blank()
            raise RestartedError("the microscope's process was restarted")

    def _tell_beam(self, *, blanked: bool) -> None:
        self._publish(BeamChanged(blanked=blanked, current_pA=self.current_pA))
