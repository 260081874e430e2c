"""Simulator as a :class:`~controller.hardware.interface.Microscope`."""

from __future__ import annotations

import time
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from controller.hardware.idempotent_requests import IdempotentRequests
from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    Description,
    Frame,
    MicroscopeError,
    OutOfLimitsError,
    StageState,
    Status,
)
from controller.hardware.limits import check_sweep
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StagePosition
from controller.rehearsal.operator_actions import OperatorAction
from simulator import detector, frame, imaging, stage
from simulator.grid import make_grid, remount
from simulator.live_world import LiveWorld, Move
from simulator.settings import SimulatorSettings
from simulator.world import mean_deformation_update

T = TypeVar("T")

FRAMES_KEPT = 16
_FRAME_STREAM, _MOVE_STREAM, _REMOUNT_STREAM = 1, 2, 3
"""Independent random streams; each event draws from its stream and its own number."""


def create(settings: SimulatorSettings, state_path: Path | None = None) -> SimulatedMicroscope:
    """Create the microscope; with `state_path` it continues with the saved state.

    Raises ValueError with a one-line message if the state file was made with other settings.
    """
    return SimulatedMicroscope(settings, state_path)


class SimulatedMicroscope:
    """Simulated column with one grid; the protocol describes what each method does."""

    def __init__(self, settings: SimulatorSettings, state_path: Path | None) -> None:
        self._settings = settings
        self._grid = make_grid(settings.specimen, settings.seed)
        self._world = LiveWorld(settings, state_path)
        self._boot_id = uuid.uuid4().hex
        self._requests = IdempotentRequests()
        self._frames: OrderedDict[str, Frame] = OrderedDict()

    # state

    def describe(self) -> Description:
        """Describe this microscope and its capabilities."""
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
        """Return the current state of the column; never blocks."""
        with self._world.changed:
            state = self._world.state
            return Status(
                boot_id=self._boot_id,
                time_s=self._world.now_s(),
                stage=self._world.reported_position(),
                stage_state=StageState.MOVING if self._world.move else StageState.READY,
                beam_blanked=state.blanked,
                current_pA=state.current_pA,
                defocus_nm=state.defocus_nm,
                valves_open=state.valves_open,
                vacuum_ok=True,
                busy=self._requests.busy,
            )

    # moves and exposures

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move to `target`, wait until the stage has settled, return the reported position."""
        return self._once(request_id, lambda safe_calls: self._move(target, safe_calls))

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set the probe current; return it, pA."""
        return self._once(request_id, lambda safe_calls: self._set_current(current_pA))

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set the defocus; return it, nm."""
        return self._once(request_id, lambda safe_calls: self._set_defocus(defocus_nm))

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one HAADF frame: unblank, expose, blank again."""
        info = self._once(
            request_id, lambda safe_calls: self._acquire_still(request_id, scan, safe_calls)
        )
        return self.fetch_frame(info.request_id)

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts from its present angle to `to_alpha_deg`."""
        info = self._once(
            request_id,
            lambda safe_calls: self._acquire_tilting(request_id, scan, to_alpha_deg, safe_calls),
        )
        return self.fetch_frame(info.request_id)

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Expose a square of side `field_nm`, blank again; return the dose, e/A^2."""
        return self._once(
            request_id, lambda safe_calls: self._illuminate(duration_s, field_nm, safe_calls)
        )

    def fetch_frame(self, request_id: str) -> Frame:
        """Return one of the last frames again, without a new exposure."""
        with self._world.changed:
            found = self._frames.get(request_id)
        if found is None:
            raise AcquisitionError(
                f"frame {request_id!r} is not among the last {FRAMES_KEPT}: take it again"
            )
        return found

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Do what the operator does by hand at the flip; takes no time in real time."""
        if action is OperatorAction.CLOSE_VALVES:
            self._once(request_id, lambda safe_calls: self._close_valves())
        else:
            self._once(request_id, lambda safe_calls: self._remount(request_id, action))

    # interruptions

    def blank(self) -> None:
        """Blank the beam at once; this ends an exposure in progress."""
        self._world.blank()

    def stop_stage(self) -> None:
        """Stop a move in progress at its present position."""
        self._world.stop_stage()

    def make_safe(self, reason: str) -> None:
        """Blank the beam, stop the stage, end everything in progress."""
        self._world.make_safe()

    def wait(self, duration_s: float) -> None:
        """Let time pass on the microscope clock; `make_safe` ends it early."""
        safe_calls = self._world.safe_calls
        self._world.pass_time(duration_s, lambda: self._world.safe_calls != safe_calls)

    def close(self) -> None:
        """Leave the column safe."""
        self.make_safe("closed")

    # actions, one at a time

    def _once(self, request_id: str, action: Callable[[int], T]) -> T:
        """Run `action` once for this id, unless the column is made safe while it waits.

        `action` receives the number of `make_safe` calls at the time of the request.
        """
        safe_calls = self._world.safe_calls

        def act() -> T:
            self._world.refuse_after_safe(safe_calls)
            return action(safe_calls)

        return self._requests.once(request_id, act)

    def _move(self, target: StagePosition, safe_calls: int) -> StagePosition:
        world, motion = self._world, self._settings.stage
        stage.check_limits(target, motion.limits)
        stops, before = world.stage_stops, world.state.stage
        duration_s = stage.move_duration_s(before.reported, target, motion)
        world.move = Move(before.reported, target, world.now_s(), duration_s)

        def stopped() -> bool:
            return world.stage_stops != stops or world.safe_calls != safe_calls

        completed = world.pass_time(duration_s, stopped)
        with world.changed:
            reached = target if completed else world.reported_position()
            rng = world.rng(_MOVE_STREAM, world.state.moves)
            world.end_move(stage.after_move(before, reached, world.now_s(), motion, rng))
        if not (completed and world.pass_time(motion.settling_s, stopped)):
            raise AbortedError(f"the stage was stopped at {reached.alpha_deg:.2f} degrees")
        return reached

    def _set_current(self, current_pA: float) -> float:
        max_pA = self._settings.optics.current_max_pA
        if not 0.0 <= current_pA <= max_pA:
            raise OutOfLimitsError(f"probe current {current_pA:g} pA is outside 0 to {max_pA:g} pA")
        with self._world.changed:
            self._world.update(current_pA=current_pA)
        return current_pA

    def _set_defocus(self, defocus_nm: float) -> float:
        max_nm = self._settings.optics.defocus_max_nm
        if not abs(defocus_nm) <= max_nm:
            raise OutOfLimitsError(
                f"defocus {defocus_nm:g} nm is outside {-max_nm:g} to {max_nm:g} nm"
            )
        with self._world.changed:
            self._world.update(defocus_nm=defocus_nm)
        return defocus_nm

    def _acquire_still(self, request_id: str, scan: ScanSettings, safe_calls: int) -> FrameInfo:
        return self._expose(request_id, scan, self._world.state.stage, lambda: False, safe_calls)

    def _acquire_tilting(
        self, request_id: str, scan: ScanSettings, to_alpha_deg: float, safe_calls: int
    ) -> FrameInfo:
        """Expose during the tilt. An interrupted exposure stops the tilt, and vice versa."""
        world, motion = self._world, self._settings.stage
        stops, before = world.stage_stops, world.state.stage
        target = before.reported.model_copy(update={"alpha_deg": to_alpha_deg})
        stage.check_limits(target, motion.limits)
        check_sweep(scan, to_alpha_deg - before.reported.alpha_deg, self.describe())

        def after_sweep(position: StagePosition) -> stage.StageTruth:
            rng = world.rng(_MOVE_STREAM, world.state.moves)
            return stage.after_sweep(before, position, motion, rng)

        at_end = after_sweep(target)
        world.move = Move(before.reported, target, world.now_s(), scan.frame_time_s)
        try:
            return self._expose(
                request_id, scan, at_end, lambda: world.stage_stops != stops, safe_calls
            )
        except MicroscopeError:
            at_end = after_sweep(world.reported_position())
            raise
        finally:
            with world.changed:
                world.end_move(at_end)

    def _expose(
        self,
        request_id: str,
        scan: ScanSettings,
        stage_at_end: stage.StageTruth,
        stage_stopped: Callable[[], bool],
        safe_calls: int,
    ) -> FrameInfo:
        """Record one frame; `stage_at_end` is the state of the stage at the last pixel."""
        world, started = self._world, time.monotonic()
        world.unblank(safe_calls)
        at_start = world.state  # at the first pixel, its clock included
        rng = world.rng(_FRAME_STREAM, at_start.frames)
        pixels = frame.record_frame(self._grid, at_start, stage_at_end, scan, self._settings, rng)
        pixels.flags.writeable = False
        # in real time the beam is already on: subtract the computing time from the exposure
        computing_s = time.monotonic() - started if world.real_time else 0.0
        completed = world.pass_time(
            scan.frame_time_s - computing_s, lambda: world.state.blanked or stage_stopped()
        )
        dose = scan.dose_e_per_A2(at_start.current_pA)
        exposed_s = scan.frame_time_s if completed else world.now_s() - at_start.clock_s
        field_nm = (scan.width_px * scan.pixel_nm, scan.height_px * scan.pixel_nm)
        with world.changed:
            doses = self._doses_after(dose * min(1.0, exposed_s / scan.frame_time_s), field_nm)
            world.update(
                blanked=True,
                doses_e_per_A2=doses,
                frames=at_start.frames + 1,
                **mean_deformation_update(at_start, doses),
            )
        if not completed:
            raise AbortedError(f"frame {request_id!r} was interrupted: no image")
        info = FrameInfo(
            request_id=request_id,
            scan=scan,
            stage=stage.interpolate(at_start.stage.reported, stage_at_end.reported, 0.5),
            current_pA=at_start.current_pA,
            started_s=at_start.clock_s,
            dose_e_per_A2=dose,
            dtype=pixels.dtype.name,
            crc32=zlib.crc32(pixels.tobytes()),
        )
        self._keep(Frame(info, pixels))
        return info

    def _illuminate(self, duration_s: float, field_nm: float, safe_calls: int) -> float:
        if not (duration_s > 0.0 and field_nm > 0.0):
            raise OutOfLimitsError(
                f"beam shower of {duration_s:g} s on {field_nm:g} nm: both must be above 0"
            )
        world = self._world
        started_s, current_pA = world.now_s(), world.state.current_pA
        world.unblank(safe_calls)
        completed = world.pass_time(duration_s, lambda: world.state.blanked)
        exposed_s = duration_s if completed else min(duration_s, world.now_s() - started_s)
        electrons = detector.electrons_per_pixel(current_pA, exposed_s * 1e6)
        dose = electrons / (field_nm * 10.0) ** 2
        with world.changed:
            doses = self._doses_after(dose, (field_nm, field_nm))
            world.update(blanked=True, doses_e_per_A2=doses)
        if not completed:
            raise AbortedError(f"the beam shower was ended by blanking after {exposed_s:.1f} s")
        return dose

    def _close_valves(self) -> None:
        with self._world.changed:
            self._world.update(valves_open=False)

    def _remount(self, request_id: str, action: OperatorAction) -> None:
        world = self._world
        done = world.state.remounts
        if request_id in done:
            return
        with world.changed:
            rng = world.rng(_REMOUNT_STREAM, len(done))
            mount = remount(self._settings, self._grid.assembly_positions_nm, action, rng)
            if not world.real_time:
                world.update(clock_s=world.state.clock_s + self._settings.remount.duration_s)
            world.update(
                blanked=True,
                valves_open=True,
                mount=mount,
                remounts=(*done, request_id),
                stage=stage.StageTruth(arrived_s=world.now_s()),
            )

    def _doses_after(
        self, dose_e_per_A2: float, field_nm: tuple[float, float]
    ) -> tuple[float, ...]:
        """Return the dose of each assembly after one more to those centred in the field (u, v)."""
        state = self._world.state
        pose = stage.true_pose(state.stage, self._world.now_s(), self._settings.stage)
        centres = state.mount.to_holder(self._grid.assembly_positions_nm)
        seen = imaging.in_scan(
            stage.holder_to_beam(centres, pose), self._settings.scan.rotation_deg
        )
        offsets_nm = np.abs(seen[:, :2])
        exposed = np.all(offsets_nm <= np.array(field_nm) / 2.0, axis=1)
        doses = np.array(state.doses_e_per_A2) + dose_e_per_A2 * exposed
        return tuple(doses.tolist())

    def _keep(self, recorded: Frame) -> None:
        with self._world.changed:
            self._frames[recorded.info.request_id] = recorded
            if len(self._frames) > FRAMES_KEPT:
                self._frames.popitem(last=False)
