"""The digital twin as a :class:`~controller.microscope.interface.Microscope`."""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from controller.microscope.interface import (
    AbortedError,
    AcquisitionError,
    Description,
    Frame,
    FrameInfo,
    Hands,
    OutOfLimitsError,
    ScanSettings,
    StagePosition,
    StageState,
    Status,
    ValvesClosedError,
)
from controller.microscope.limits import check_sweep
from controller.microscope.requests import Requests
from simulator import detector, frame, stage
from simulator.grid import make_grid, remount
from simulator.settings import SimulatorSettings, TimeKeeping
from simulator.world import open_world, save_world, size_seen

T = TypeVar("T")

FRAMES_KEPT = 16
_FRAME_STREAM, _MOVE_STREAM, _HANDS_STREAM = 1, 2, 3
"""Random streams apart from each other, each numbered by what has happened so far."""


def create(settings: SimulatorSettings, state_path: Path | None = None) -> SimulatedMicroscope:
    """Make the microscope; with a `state_path` it finds its grid as the last process left it.

    Raises ValueError, in one line, where the state file belongs to other settings.
    """
    return SimulatedMicroscope(settings, state_path)


class SimulatedMicroscope:
    """One column with one grid in it; see the protocol for what each method does."""

    def __init__(self, settings: SimulatorSettings, state_path: Path | None) -> None:
        self._settings = settings
        self._state_path = state_path
        self._grid = make_grid(settings.specimen, settings.seed)
        self._world = open_world(settings, state_path)
        self._boot_id = uuid.uuid4().hex
        self._booted_at = time.monotonic() - self._world.clock_s
        self._changed = threading.Condition()  # guards the world and what follows
        self._halts = 0  # times the stage was told to stop
        self._safes = 0  # times the column was made safe
        self._travel: tuple[StagePosition, StagePosition, float, float] | None = None
        self._requests = Requests()
        self._frames: OrderedDict[str, Frame] = OrderedDict()
        self._update()

    # what the column says

    def describe(self) -> Description:
        """Say what this microscope is and can do."""
        optics = self._settings.optics
        return Description(
            name="simulator",
            boot_id=self._boot_id,
            simulated=True,
            sets_current=True,
            voltage_kV=optics.voltage_kV,
            convergence_mrad=optics.convergence_mrad,
            inner_collection_mrad=optics.inner_collection_mrad,
            outer_collection_mrad=optics.outer_collection_mrad,
            stage_limits=self._settings.stage.limits,
            frame_sizes_px=(),
            defocus_limits_nm=(-optics.defocus_max_nm, optics.defocus_max_nm),
            fastest_sweep_deg_per_s=self._settings.stage.tilt_speed_deg_per_s,
        )

    def status(self) -> Status:
        """Look at the column without disturbing it."""
        with self._changed:
            return Status(
                boot_id=self._boot_id,
                time_s=self._now_s(),
                stage=self._reported(),
                stage_state=StageState.MOVING if self._travel else StageState.READY,
                beam_blanked=self._world.blanked,
                current_pA=self._world.current_pA,
                defocus_nm=self._world.defocus_nm,
                valves_open=self._world.valves_open,
                vacuum_ok=True,
                busy=self._requests.busy,
            )

    # what moves or exposes

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move to `target`, wait until the stage is at rest, return where it says it is."""
        return self._once(request_id, lambda ticket: self._move(target, ticket))

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set the probe current; return it, pA."""
        return self._once(request_id, lambda ticket: self._set_current(current_pA))

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus; return it, nm."""
        return self._once(request_id, lambda ticket: self._set_defocus(defocus_nm))

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one HAADF frame: unblank, expose, blank again."""
        info = self._once(request_id, lambda ticket: self._still(request_id, scan, ticket))
        return self.fetch_frame(info.frame_id)

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts from where it is to `to_alpha_deg`."""
        info = self._once(
            request_id, lambda ticket: self._sweep(request_id, scan, to_alpha_deg, ticket)
        )
        return self.fetch_frame(info.frame_id)

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Expose a square of side `field_nm`, blank again; return the dose, e/A^2."""
        return self._once(request_id, lambda ticket: self._shower(duration_s, field_nm, ticket))

    def fetch_frame(self, frame_id: str) -> Frame:
        """Return one of the last frames again: no new dose."""
        with self._changed:
            found = self._frames.get(frame_id)
        if found is None:
            raise AcquisitionError(
                f"frame {frame_id!r} is not among the last {FRAMES_KEPT}: take it again"
            )
        return found

    def rehearse(self, request_id: str, hands: Hands) -> None:
        """Play the operator's hands at the flip; in real time they take none."""
        if hands is Hands.CLOSE_VALVES:
            self._once(request_id, lambda ticket: self._close_valves())
        else:
            self._once(request_id, lambda ticket: self._remount(request_id, hands))

    # what stops

    def blank(self) -> None:
        """Blank the beam at once; an exposure under way ends."""
        with self._changed:
            self._update(blanked=True)
            self._changed.notify_all()

    def stop_stage(self) -> None:
        """Stop a move under way where it is."""
        with self._changed:
            self._halts += 1
            self._changed.notify_all()

    def make_safe(self, reason: str) -> None:
        """Blank the beam, stop the stage, end whatever is under way."""
        with self._changed:
            self._safes += 1
            self._update(blanked=True)
            self._changed.notify_all()

    def wait(self, duration_s: float) -> None:
        """Let the microscope's own time pass; `make_safe` ends it early."""
        safes = self._safes
        self._pass(duration_s, lambda: self._safes != safes)

    def close(self) -> None:
        """Leave the column safe."""
        self.make_safe("closed")

    # actions, one at a time

    def _once(self, request_id: str, action: Callable[[int], T]) -> T:
        """Run `action` once for this id, unless the column is made safe while it waits its turn."""
        ticket = self._safes

        def act() -> T:
            self._refuse_after_safe(ticket)
            return action(ticket)

        return self._requests.once(request_id, act)

    def _refuse_after_safe(self, ticket: int) -> None:
        if self._safes != ticket:
            raise AbortedError("the column was made safe meanwhile: nothing more was done")

    def _move(self, target: StagePosition, ticket: int) -> StagePosition:
        motion = self._settings.stage
        stage.check_limits(target, motion.limits)
        halts, before = self._halts, self._world.stage
        duration = stage.travel_s(before.reported, target, motion)
        self._travel = (before.reported, target, self._now_s(), duration)

        def halted() -> bool:
            return self._halts != halts or self._safes != ticket

        whole = self._pass(duration, halted)
        with self._changed:
            reached = target if whole else self._reported()
            rng = self._rng(_MOVE_STREAM, self._world.moves)
            there = stage.arrive(before, reached, self._now_s(), motion, rng)
            self._travel = None
            self._update(stage=there, moves=self._world.moves + 1)
        if not (whole and self._pass(motion.settling_s, halted)):
            raise AbortedError(f"stage stopped at {reached.alpha_deg:.2f} degrees")
        return reached

    def _set_current(self, current_pA: float) -> float:
        highest = self._settings.optics.current_max_pA
        if not 0.0 <= current_pA <= highest:
            raise OutOfLimitsError(f"probe current {current_pA:g} pA is not within 0..{highest:g}")
        with self._changed:
            self._update(current_pA=current_pA)
        return current_pA

    def _set_defocus(self, defocus_nm: float) -> float:
        highest = self._settings.optics.defocus_max_nm
        if not abs(defocus_nm) <= highest:
            raise OutOfLimitsError(f"defocus {defocus_nm:g} nm is not within -+{highest:g} nm")
        with self._changed:
            self._update(defocus_nm=defocus_nm)
        return defocus_nm

    def _still(self, frame_id: str, scan: ScanSettings, ticket: int) -> FrameInfo:
        return self._expose(frame_id, scan, self._world.stage, lambda: False, ticket)

    def _sweep(
        self, frame_id: str, scan: ScanSettings, to_alpha_deg: float, ticket: int
    ) -> FrameInfo:
        """Expose on the way; what ends the exposure ends the motion, and the other way round."""
        motion, halts, before = self._settings.stage, self._halts, self._world.stage
        target = before.reported.model_copy(update={"alpha_deg": to_alpha_deg})
        stage.check_limits(target, motion.limits)
        check_sweep(scan, to_alpha_deg - before.reported.alpha_deg, self.describe())

        def swept(to: StagePosition) -> stage.StageTruth:
            return stage.swept(before, to, motion, self._rng(_MOVE_STREAM, self._world.moves))

        there = swept(target)
        self._travel = (before.reported, target, self._now_s(), scan.frame_time_s)
        try:
            return self._expose(frame_id, scan, there, lambda: self._halts != halts, ticket)
        except AbortedError:
            there = swept(self._reported())
            raise
        finally:
            with self._changed:
                self._travel = None
                self._update(stage=there, moves=self._world.moves + 1)

    def _expose(
        self,
        frame_id: str,
        scan: ScanSettings,
        there: stage.StageTruth,
        halted: Callable[[], bool],
        ticket: int,
    ) -> FrameInfo:
        """Expose until the stage is `there`, at the last pixel."""
        begun = time.monotonic()
        self._unblank(ticket)
        world = self._world  # as it is at the first pixel, its clock included
        rng = self._rng(_FRAME_STREAM, world.frames)
        pixels = frame.pixels(self._grid, world, there, scan, self._settings, rng)
        pixels.flags.writeable = False
        computing_s = time.monotonic() - begun if self._real_time else 0.0
        # the beam is on from the first pixel: what computing took of the exposure has passed
        whole = self._pass(scan.frame_time_s - computing_s, lambda: self._world.blanked or halted())
        dose = scan.dose_e_per_A2(world.current_pA)
        share = min(1.0, (self._now_s() - world.clock_s) / scan.frame_time_s) if not whole else 1.0
        field_nm = (scan.width_px * scan.pixel_nm, scan.height_px * scan.pixel_nm)
        with self._changed:
            self._charge(dose * share, field_nm)
            self._update(blanked=True, frames=world.frames + 1, **size_seen(world))
        if not whole:
            raise AbortedError(f"frame {frame_id!r} was cut short: no image")
        info = FrameInfo(
            frame_id=frame_id,
            scan=scan,
            stage=stage.between(world.stage.reported, there.reported, 0.5),
            current_pA=world.current_pA,
            started_s=world.clock_s,
            dose_e_per_A2=dose,
            dtype=pixels.dtype.name,
            crc32=zlib.crc32(pixels.tobytes()),
        )
        self._keep(Frame(info, pixels))
        return info

    def _shower(self, duration_s: float, field_nm: float, ticket: int) -> float:
        if not (duration_s > 0.0 and field_nm > 0.0):
            raise OutOfLimitsError(
                f"a shower of {duration_s:g} s on {field_nm:g} nm: both must be above 0"
            )
        started_s, current_pA = self._now_s(), self._world.current_pA
        self._unblank(ticket)
        whole = self._pass(duration_s, lambda: self._world.blanked)
        lasted_s = duration_s if whole else min(duration_s, self._now_s() - started_s)
        electrons = detector.electrons_per_pixel(current_pA, lasted_s * 1e6)
        dose = electrons / (field_nm * 10.0) ** 2
        with self._changed:
            self._charge(dose, (field_nm, field_nm))
            self._update(blanked=True)
        if not whole:
            raise AbortedError(f"shower cut short by blanking after {lasted_s:.1f} s")
        return dose

    def _close_valves(self) -> None:
        with self._changed:
            self._update(valves_open=False)

    def _remount(self, request_id: str, hands: Hands) -> None:
        if request_id in self._world.remounts:
            return
        with self._changed:
            rng = self._rng(_HANDS_STREAM, len(self._world.remounts))
            mount = remount(self._settings, self._grid.places_nm, hands, rng)
            if not self._real_time:
                self._update(clock_s=self._world.clock_s + self._settings.remount.duration_s)
            self._update(
                blanked=True,
                valves_open=True,
                mount=mount,
                remounts=(*self._world.remounts, request_id),
                stage=stage.StageTruth(arrived_s=self._now_s()),
            )

    # the world and its time; callers of the changing ones hold self._changed

    @property
    def _real_time(self) -> bool:
        return self._settings.time is TimeKeeping.REAL

    def _now_s(self) -> float:
        return time.monotonic() - self._booted_at if self._real_time else self._world.clock_s

    def _pass(self, duration_s: float, interrupted: Callable[[], bool]) -> bool:
        """Let time pass; return whether all of it did."""
        with self._changed:
            if self._real_time:
                self._changed.wait_for(interrupted, timeout=max(0.0, duration_s))
                self._update()
            elif not interrupted():
                self._update(clock_s=self._world.clock_s + max(0.0, duration_s))
            return not interrupted()

    def _update(self, **changes: object) -> None:
        """Change the world and make the change outlive this process."""
        if self._real_time:
            changes["clock_s"] = self._now_s()
        self._world = self._world.model_copy(update=changes)
        if self._state_path is not None:
            save_world(self._world, self._state_path)

    def _unblank(self, ticket: int) -> None:
        with self._changed:
            self._refuse_after_safe(ticket)
            if not self._world.valves_open:
                raise ValvesClosedError("the column valves are closed: open them by hand")
            self._update(blanked=False)

    def _reported(self) -> StagePosition:
        if self._travel is None:
            return self._world.stage.reported
        before, target, left_at, duration = self._travel
        share = (self._now_s() - left_at) / duration if duration else 1.0
        return stage.between(before, target, min(1.0, share))

    def _charge(self, dose: float, field_nm: tuple[float, float]) -> None:
        """Add a dose to each assembly whose centre lies in the field."""
        where = stage.pose(self._world.stage, self._now_s(), self._settings.stage)
        seen = stage.tilted(self._world.mount.place(self._grid.places_nm), where)
        lit = np.all(np.abs(seen[:, :2]) <= np.array(field_nm) / 2.0, axis=1)
        doses = np.array(self._world.doses_e_per_A2) + dose * lit
        self._update(doses_e_per_A2=tuple(doses.tolist()))

    def _keep(self, taken: Frame) -> None:
        with self._changed:
            self._frames[taken.info.frame_id] = taken
            if len(self._frames) > FRAMES_KEPT:
                self._frames.popitem(last=False)

    def _rng(self, stream: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self._settings.seed, stream, number])
