"""A real column as a :class:`~controller.hardware.interface.Microscope`, with any driver.

There are two threads, each with its own driver. The work thread moves and exposes; the watch thread
reads the status and blanks, without waiting for the first. If the scripting allows one connection
only, both are the same thread: then status shows the last known state, and blanking waits.
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
    """A real column. Its beam is blanked at the start. The methods are those of the protocol.

    Parameters
    ----------
    work, watch
        Thread of the driver that acts, and of the one that reads status and blanks; they may be
        the same.
    settings
        Settings of this installation.
    clock
        Source of time; default: the computer's clock.
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

    # description and status

    def describe(self) -> Description:
        """Return the properties and abilities of the column."""
        return self._description

    def status(self) -> Status:
        """Read the state of the column without changing it."""
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

    # actions

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move the stage to `target`, wait until it is at rest and return the read-back."""
        return self._once(request_id, lambda safe_count: self._actions.move(target, safe_count))

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Measure the probe current on the screen (pA), check it and return it."""
        return self._once(
            request_id, lambda safe_count: self._actions.verify_current(current_pA, safe_count)
        )

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus (nm) and return the read-back."""
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
        """Refuse: no known scripting tilts the stage at a set speed during a scan."""
        raise NotSupportedError("this column does not expose while its stage tilts")

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Scan a square of side `field_nm` repeatedly (beam shower); return the dose, e/A^2."""
        return self._once(
            request_id, lambda safe_count: self._actions.shower(duration_s, field_nm, safe_count)
        )

    def fetch_frame(self, request_id: str) -> Frame:
        """Return a recent frame again, without a new exposure."""
        return self._frames.find(request_id)

    # safety

    def blank(self) -> None:
        """Blank the beam at once; a running exposure then returns no frame."""
        self._aborts.blank_count += 1
        self._watch.do(lambda driver: driver.blank())

    def stop_stage(self) -> None:
        """Stop the running stage move, if the scripting can."""
        self._watch.do(lambda driver: driver.stop_stage())

    def make_safe(self, reason: str) -> None:
        """Blank the beam and abort running actions before they expose again."""
        self._aborts.safe_count += 1
        self.blank()

    def wait(self, duration_s: float) -> None:
        """Wait; `make_safe` ends the wait early."""
        self._aborts.wait(duration_s)

    def close(self) -> None:
        """Make the column safe and release it."""
        self.make_safe("closed")
        for thread in {self._work, self._watch}:
            thread.close()

    def _once(self, request_id: str, action: Callable[[int], T]) -> T:
        """Run `action` once for this id, unless the column is made safe while it waits."""
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
