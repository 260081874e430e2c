"""What a real column does when asked to move or expose: its order, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from controller.hardware.adapters.driver import Driver, Look
from controller.hardware.adapters.frames import as_pixels, make_frame
from controller.hardware.adapters.halts import POLL_S, Halts
from controller.hardware.adapters.settings import ColumnSettings
from controller.hardware.adapters.shower import shower_frames
from controller.hardware.adapters.threads import Clock, DriverThread
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


class Actions:
    """The actions, one at a time; each takes the count of :attr:`Halts.safes` it was asked at.

    Attributes
    ----------
    current_pA
        Of the probe, as measured last; 0 before.
    defocus_nm
        As found, and then as set last.
    """

    def __init__(
        self,
        work: DriverThread,
        watch: DriverThread,
        settings: ColumnSettings,
        description: Description,
        halts: Halts,
        clock: Clock,
    ) -> None:
        self._work, self._watch, self._settings = work, watch, settings
        self._description, self._halts, self._clock = description, halts, clock
        self._started_s = clock.now_s()
        self.current_pA = 0.0
        self.defocus_nm = sum(description.defocus_limits_nm or (0.0, 0.0)) / 2

    def now_s(self) -> float:
        """Seconds since the column was taken hold of."""
        return self._clock.now_s() - self._started_s

    def move(self, target: StagePosition, safes: int) -> StagePosition:
        """Move, wait until the stage is at rest, return where it says it is."""
        check_target(target, self._description.stage_limits)
        if self._look().stage_state is not StageState.READY:
            raise StageError("the stage is not ready: look at the column's own stage page")
        self._work.do(lambda driver: driver.go_to(target))
        give_up_s = self.now_s() + self._settings.stage_within_s
        while (seen := self._look()).stage_state is not StageState.READY:
            if self.now_s() > give_up_s:
                raise StageError(
                    f"the stage is not at rest after {self._settings.stage_within_s:g} s, at "
                    f"{seen.stage.alpha_deg:.2f} degrees: look at the column's own stage page"
                )
            self._halts.pause(POLL_S, safes)
        self._halts.refuse_after_safe(safes)
        return seen.stage

    def verify_current(self, current_pA: float, safes: int) -> float:
        """Measure the probe current on the screen and compare; return the one measured, pA.

        Raises
        ------
        CurrentNotSetError
            Telling the operator what to set.
        """
        if not 0.0 < current_pA < math.inf:
            raise OutOfLimitsError(f"probe current {current_pA:g} pA: must be above 0")
        self._require_beam()
        measured_pA = self.current_pA = self._measured_pA(safes)
        tolerance = self._settings.current_tolerance
        if abs(measured_pA - current_pA) > tolerance * current_pA:
            raise CurrentNotSetError(
                f"the screen current is {measured_pA:.1f} pA: set {current_pA:g} pA within "
                f"{tolerance:.0%} at the column (spot size, gun lens or monochromator focus)"
            )
        return measured_pA

    def set_defocus(self, defocus_nm: float, safes: int) -> float:
        """Set the defocus and read it back."""
        check_defocus(defocus_nm, self._description.defocus_limits_nm)
        self._halts.refuse_after_safe(safes)
        self._work.do(lambda driver: driver.set_defocus(defocus_nm))
        self.defocus_nm = self._work.do(lambda driver: driver.defocus_nm())
        return self.defocus_nm

    def record(self, request_id: str, scan: ScanSettings, safes: int) -> Frame:
        """Record one frame."""
        seen = self._prepare(scan, safes)
        started_s = self.now_s()
        counts = self._exposed(safes, lambda driver: driver.expose(scan))
        pixels = as_pixels(counts, scan, self._settings.pixel_type)
        return make_frame(request_id, pixels, scan, seen.stage, self.current_pA, started_s)

    def shower(self, duration_s: float, field_nm: float, safes: int) -> float:
        """Scan a square over and over; return the dose, e/A^2."""
        frames = shower_frames(
            duration_s,
            field_nm,
            self._description.frame_sizes_px,
            self._settings.shortest_dwell_us,
        )
        self._prepare(frames.scan, safes)
        for _ in range(frames.count):  # blanked between frames: a resting probe burns a hole
            self._exposed(safes, lambda driver: driver.expose(frames.scan))
        return shower_dose_e_per_A2(self.current_pA, duration_s, field_nm)

    def _measured_pA(self, safes: int) -> float:
        def read(driver: Driver) -> float:
            self._halts.pause(self._settings.screen_settle_s, safes)
            return driver.screen_current_pA()

        pause = self._pausing(safes)
        try:
            self._work.do(lambda driver: driver.lower_screen(pause))
            return self._exposed(safes, read)
        finally:
            # not hurried by a safety call: a screen left in hides the specimen from the detector
            self._work.do(lambda driver: driver.lift_screen(self._clock.sleep))

    def _prepare(self, scan: ScanSettings, safes: int) -> Look:
        """Make everything ready for an exposure, the beam still blanked; refuse what is not."""
        check_scan(scan, self._description)
        seen = self._require_beam()
        if self.current_pA <= 0.0:
            raise OutOfLimitsError("the probe current has not been measured: verify it first")
        pause = self._pausing(safes)
        self._work.do(lambda driver: driver.lift_screen(pause))
        self._work.do(lambda driver: driver.prepare(scan))
        return seen

    def _exposed(self, safes: int, act: Callable[[Driver], T]) -> T:
        """Do `act` with the beam on; no outcome where the beam was blanked meanwhile."""
        blanks = self._halts.blanks

        def run(driver: Driver) -> T:
            self._halts.refuse_after_safe(safes)
            try:
                driver.unblank()
                # blanked between the look above and the unblanking: undone here
                self._halts.refuse_after_blank(blanks)
                return act(driver)
            finally:
                self._blank_surely(driver)

        outcome = self._work.do(run)
        self._halts.refuse_after_blank(blanks)
        return outcome

    def _blank_surely(self, driver: Driver) -> None:
        try:
            driver.blank()
        except MicroscopeError:
            if self._watch is self._work:
                raise
            self._watch.do(lambda other: other.blank())

    def _require_beam(self) -> Look:
        seen = self._look()
        if not seen.valves_open:
            raise ValvesClosedError("the column valves are closed: open them at the column")
        if not seen.vacuum_ok:
            raise VacuumError("the vacuum is not ready: wait for it")
        if not seen.beam_on:
            raise BeamLostError("the high tension is off: see to it at the column")
        return seen

    def _look(self) -> Look:
        return self._work.do(lambda driver: driver.look())

    def _pausing(self, safes: int) -> Callable[[float], None]:
        return lambda duration_s: self._halts.pause(duration_s, safes)
