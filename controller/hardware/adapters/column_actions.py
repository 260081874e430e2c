"""Actions of a real column: the order of their calls, and the checks before them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from controller.hardware.adapters.abort_counters import POLL_S, AbortCounters
from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.adapters.detector_frames import as_pixels, make_frame
from controller.hardware.adapters.driver import ColumnState, Driver
from controller.hardware.adapters.driver_thread import Clock, DriverThread
from controller.hardware.adapters.shower_frames import shower_frames
from controller.hardware.interface import (
    BeamLostError,
    CurrentNotSetError,
    Description,
    Frame,
    MicroscopeError,
    OutOfLimitsError,
    StageError,
    StageState,
    VacuumError,
    ValvesClosedError,
)
from controller.hardware.limits import check_defocus, check_scan, check_target
from controller.model.scan import ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StagePosition

T = TypeVar("T")


class ColumnActions:
    """Moves and exposures of a real column, one at a time.

    Each takes `safe_count`, the value of :attr:`AbortCounters.safe_count` when it was requested; it
    raises AbortedError once that has changed.

    Attributes
    ----------
    current_pA
        Probe current as measured last; 0 before the first measurement.
    defocus_nm
        Defocus as found at the start, then as set last.
    """

    def __init__(
        self,
        work: DriverThread,
        watch: DriverThread,
        settings: ColumnSettings,
        description: Description,
        aborts: AbortCounters,
        clock: Clock,
    ) -> None:
        self._work, self._watch, self._settings = work, watch, settings
        self._description, self._aborts, self._clock = description, aborts, clock
        self._started_s = clock.now_s()
        self.current_pA = 0.0
        self.defocus_nm = sum(description.defocus_limits_nm or (0.0, 0.0)) / 2

    def now_s(self) -> float:
        """Return the seconds since the adapter connected to the column."""
        return self._clock.now_s() - self._started_s

    def move(self, target: StagePosition, safe_count: int) -> StagePosition:
        """Move the stage, wait until it is at rest and return the read-back position."""
        check_target(target, self._description.stage_limits)
        if self._read_state().stage_state is not StageState.READY:
            raise StageError("the stage is not ready: check the stage page at the column")
        self._work.do(lambda driver: driver.start_move(target))
        deadline_s = self.now_s() + self._settings.stage_within_s
        while (state := self._read_state()).stage_state is not StageState.READY:
            if self.now_s() > deadline_s:
                raise StageError(
                    f"the stage is not at rest after {self._settings.stage_within_s:g} s, at "
                    f"{state.stage.alpha_deg:.2f} degrees: check the stage page at the column"
                )
            self._aborts.pause(POLL_S, safe_count)
        self._aborts.raise_if_made_safe(safe_count)
        return state.stage

    def verify_current(self, current_pA: float, safe_count: int) -> float:
        """Measure the probe current (pA) on the screen, check it against the request and return it.

        Raises
        ------
        CurrentNotSetError
            If it differs too much; the message says what to set.
        """
        if not 0.0 < current_pA < math.inf:
            raise OutOfLimitsError(f"probe current {current_pA:g} pA: must be above 0")
        self._require_beam()
        measured_pA = self.current_pA = self._measured_pA(safe_count)
        tolerance = self._settings.current_tolerance
        if abs(measured_pA - current_pA) > tolerance * current_pA:
            raise CurrentNotSetError(
                f"the screen current is {measured_pA:.1f} pA: set {current_pA:g} pA within "
                f"{tolerance:.0%} at the column (spot size, gun lens or monochromator focus)"
            )
        return measured_pA

    def set_defocus(self, defocus_nm: float, safe_count: int) -> float:
        """Set the defocus (nm) and return the read-back."""
        check_defocus(defocus_nm, self._description.defocus_limits_nm)
        self._aborts.raise_if_made_safe(safe_count)
        self._work.do(lambda driver: driver.set_defocus(defocus_nm))
        self.defocus_nm = self._work.do(lambda driver: driver.defocus_nm())
        return self.defocus_nm

    def record(self, request_id: str, scan: ScanSettings, safe_count: int) -> Frame:
        """Record one frame."""
        state = self._prepare(scan, safe_count)
        started_s = self.now_s()
        counts = self._exposed(safe_count, lambda driver: driver.expose(scan))
        pixels = as_pixels(counts, scan, self._settings.pixel_type)
        return make_frame(request_id, pixels, scan, state.stage, self.current_pA, started_s)

    def shower(self, duration_s: float, field_nm: float, safe_count: int) -> float:
        """Scan a square repeatedly (beam shower) and return the dose, e/A^2."""
        frames = shower_frames(
            duration_s,
            field_nm,
            self._description.frame_sizes_px,
            self._settings.shortest_dwell_us,
        )
        self._prepare(frames.scan, safe_count)
        for _ in range(frames.count):  # blanked between frames: a probe at rest burns a hole
            self._exposed(safe_count, lambda driver: driver.expose(frames.scan))
        return shower_dose_e_per_A2(self.current_pA, duration_s, field_nm)

    def _measured_pA(self, safe_count: int) -> float:
        def read(driver: Driver) -> float:
            self._aborts.pause(self._settings.screen_settle_s, safe_count)
            return driver.screen_current_pA()

        pause = self._pausing(safe_count)
        try:
            self._work.do(lambda driver: driver.lower_screen(pause))
            return self._exposed(safe_count, read)
        finally:
            # not shortened by a safety call: a screen left in hides the specimen from the detector
            self._work.do(lambda driver: driver.lift_screen(self._clock.sleep))

    def _prepare(self, scan: ScanSettings, safe_count: int) -> ColumnState:
        """Prepare an exposure with the beam still blanked; raise if the column is not ready."""
        check_scan(scan, self._description)
        state = self._require_beam()
        if self.current_pA <= 0.0:
            raise OutOfLimitsError(
                "the probe current has not been measured: verify it with set_current first"
            )
        pause = self._pausing(safe_count)
        self._work.do(lambda driver: driver.lift_screen(pause))
        self._work.do(lambda driver: driver.prepare(scan))
        return state

    def _exposed(self, safe_count: int, act: Callable[[Driver], T]) -> T:
        """Run `act` with the beam on; raise AbortedError if the beam was blanked meanwhile."""
        blank_count = self._aborts.blank_count

        def run(driver: Driver) -> T:
            self._aborts.raise_if_made_safe(safe_count)
            try:
                driver.unblank()
                # unblanking undid a blanking request that came just before it: blank again
                self._aborts.raise_if_blanked(blank_count)
                return act(driver)
            finally:
                self._blank_surely(driver)

        outcome = self._work.do(run)
        self._aborts.raise_if_blanked(blank_count)
        return outcome

    def _blank_surely(self, driver: Driver) -> None:
        try:
            driver.blank()
        except MicroscopeError:
            if self._watch is self._work:
                raise
            self._watch.do(lambda other: other.blank())

    def _require_beam(self) -> ColumnState:
        state = self._read_state()
        if not state.valves_open:
            raise ValvesClosedError("the column valves are closed: open them at the column")
        if not state.vacuum_ok:
            raise VacuumError("the vacuum is not ready: wait until it is")
        if not state.beam_on:
            raise BeamLostError("the high tension is off: switch it on at the column")
        return state

    def _read_state(self) -> ColumnState:
        return self._work.do(lambda driver: driver.read_state())

    def _pausing(self, safe_count: int) -> Callable[[float], None]:
        return lambda duration_s: self._aborts.pause(duration_s, safe_count)
