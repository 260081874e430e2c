"""A real column as a :class:`~controller.hardware.interface.Microscope`, over any driver.

Two threads, each with a driver of its own: one works, one watches and blank_count. A move or an
exposure blocks the first; the second is never behind it. Where the scripting offers a single
connection both are the same: then status shows what was seen last, and blanking waits.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar

from controller.hardware.adapters.abort_counters import AbortCounters
from controller.hardware.adapters.column_actions import ColumnActions
from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.adapters.detector_frames import RecentFrames
from controller.hardware.adapters.driver import ColumnIdentity, Driver
from controller.hardware.adapters.driver_thread import Clock, DriverThread, RealClock
from controller.hardware.adapters.scan_choice import frame_sizes_px, offered_scans
from controller.hardware.idempotent_requests import IdempotentRequests
from controller.hardware.interface import (
    Description,
    Frame,
    MicroscopeError,
    NotSupportedError,
    Status,
)
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StageLimits, StagePosition

T = TypeVar("T")


class RealColumn:
    """One column; see the protocol for what each method does. Its beam is blanked at first.

    Parameters
    ----------
    work, watch
        The driver that acts, and the one that looks and blank_count; may be the same.
    settings
        Of this installation.
    clock
        Time; the computer's own.
    """

    def __init__(
        self,
        work: DriverThread,
        watch: DriverThread,
        settings: ColumnSettings,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or RealClock()
        self._work, self._watch = work, watch
        self._requests, self._frames, self._aborts = (
            IdempotentRequests(),
            RecentFrames(),
            AbortCounters(clock),
        )
        self.blank()
        identity = work.do(lambda driver: driver.identify())
        self._description = _describe(identity, settings, work.do(_defocus_found_nm))
        self._seen = work.do(lambda driver: driver.read_state())
        self._actions = ColumnActions(work, watch, settings, self._description, self._aborts, clock)

    # what the column says

    def describe(self) -> Description:
        """Say what this microscope is and can do."""
        return self._description

    def status(self) -> Status:
        """ColumnState at the column without disturbing it."""
        busy = self._requests.busy
        if self._watch is not self._work or not busy:
            self._seen = self._watch.do(lambda driver: driver.read_state())
        seen = self._seen
        return Status(
            boot_id=self._description.boot_id,
            time_s=self._actions.now_s(),
            stage=seen.stage,
            stage_state=seen.stage_state,
            beam_blanked=seen.beam_blanked,
            current_pA=self._actions.current_pA if seen.beam_on else 0.0,
            defocus_nm=self._actions.defocus_nm,
            valves_open=seen.valves_open,
            vacuum_ok=seen.vacuum_ok,
            busy=busy,
        )

    # what moves or exposes

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move to `target`, wait until the stage is at rest, return where it says it is."""
        return self._once(request_id, lambda safe_count: self._actions.move(target, safe_count))

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Verify the probe current on the screen; return the one measured, pA."""
        return self._once(
            request_id, lambda safe_count: self._actions.verify_current(current_pA, safe_count)
        )

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus; return the one read back, nm."""
        return self._once(
            request_id, lambda safe_count: self._actions.set_defocus(defocus_nm, safe_count)
        )

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one HAADF frame: unblank, expose, blank again."""

        def record(safe_count: int) -> FrameInfo:
            frame = self._actions.record(request_id, scan, safe_count)
            self._frames.keep(frame)
            return frame.info

        return self.fetch_frame(self._once(request_id, record).request_id)

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Refuse: no scripting is known to tilt at a speed that fits the scan."""
        raise NotSupportedError("this column does not expose while its stage tilts")

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Scan a square of side `field_nm` over and over; return the dose, e/A^2."""
        return self._once(
            request_id, lambda safe_count: self._actions.shower(duration_s, field_nm, safe_count)
        )

    def fetch_frame(self, request_id: str) -> Frame:
        """Return one of the last frames again: no new dose."""
        return self._frames.find(request_id)

    # what stops

    def blank(self) -> None:
        """Blank the beam at once; an exposure under way gives no frame."""
        self._aborts.blank_count += 1
        self._watch.do(lambda driver: driver.blank())

    def stop_stage(self) -> None:
        """Stop a move under way where the scripting can."""
        self._watch.do(lambda driver: driver.stop_stage())

    def make_safe(self, reason: str) -> None:
        """Blank the beam; nothing under way exposes any more, whatever its scripting call does."""
        self._aborts.safe_count += 1
        self.blank()

    def wait(self, duration_s: float) -> None:
        """Let time pass; `make_safe` ends it early."""
        self._aborts.wait(duration_s)

    def close(self) -> None:
        """Leave the column safe and let go of it."""
        self.make_safe("closed")
        for thread in {self._work, self._watch}:
            thread.close()

    def _once(self, request_id: str, action: Callable[[int], T]) -> T:
        """Run `action` once for this id, unless the column is made safe while it waits its turn."""
        safe_count = self._aborts.safe_count

        def act() -> T:
            self._aborts.raise_if_made_safe(safe_count)
            return action(safe_count)

        return self._requests.once(request_id, act)


def _defocus_found_nm(driver: Driver) -> float | None:
    try:
        return driver.defocus_nm()
    except MicroscopeError:
        return None


def _describe(
    identity: ColumnIdentity, settings: ColumnSettings, defocus_nm: float | None
) -> Description:
    reach_nm = settings.defocus_reach_nm
    return Description(
        name=identity.name,
        boot_id=uuid.uuid4().hex,
        simulated=False,
        sets_current=False,
        voltage_kV=identity.voltage_kV,
        convergence_mrad=identity.convergence_mrad,
        inner_collection_mrad=settings.inner_collection_mrad,
        outer_collection_mrad=settings.outer_collection_mrad,
        stage_limits=_within(identity.stage_limits, settings.alpha_limit_deg),
        frame_sizes_px=frame_sizes_px(settings),
        offered_scans=tuple(offer for _, offer in offered_scans(settings)),
        pixel_tolerance=settings.field_tolerance,
        shortest_dwell_us=settings.shortest_dwell_us,
        defocus_limits_nm=None
        if defocus_nm is None or reach_nm is None
        else (defocus_nm - reach_nm, defocus_nm + reach_nm),
    )


def _within(limits: StageLimits, alpha_limit_deg: float | None) -> StageLimits:
    if alpha_limit_deg is None:
        return limits
    return limits.model_copy(
        update={
            "alpha_min_deg": max(limits.alpha_min_deg, -alpha_limit_deg),
            "alpha_max_deg": min(limits.alpha_max_deg, alpha_limit_deg),
        }
    )
