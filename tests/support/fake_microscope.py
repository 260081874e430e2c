"""Fake microscope for tests: immediate and without physics, with faults where a test sets them."""

from __future__ import annotations

import errno
import os
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    Description,
    Frame,
    OutOfLimitsError,
    StageState,
    Status,
    ValvesClosedError,
)
from controller.hardware.limits import check_defocus, check_sweep, check_target
from controller.model.scan import FrameInfo, ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StageLimits, StagePosition
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction
from tests.support.fake_behaviour import FakeSettings, contradict_record
from tests.support.fake_object import View, object_image

T = TypeVar("T")

Pixels = NDArray[np.generic]
Fault = Callable[[str, str], None]
"""Called as fault(action, request_id) before an action; may raise or block."""
Spoil = Callable[[str, NDArray[np.uint16]], Pixels]
"""Called as spoil(request_id, pixels); returns the pixels that the detector delivers."""

DRIVER_ERRORS: dict[str, Exception] = {
    "mistake": ZeroDivisionError("a driver's own mistake\nsecond line"),
    "disk full": OSError(errno.ENOSPC, "No space left on device"),
    "file gone": OSError(errno.ENOENT, "No such file or directory", "/column/state.json"),
}


class FakeMicroscope:
    """Microscope with one object on the stage; its clock is virtual.

    Attributes
    ----------
    log
        Every action in order: (name, request id or reason).
    fault, spoil
        Faults set by a test.
    scan_change
        Effect of a changed scan setting on every image.
    drift_nm
        Position (x, y) of the object relative to the stage.
    size, gain
        Size of the object and gain of the detector, relative to the start.
    """

    def __init__(
        self,
        boot_id: str = "boot-1",
        fault: Fault | None = None,
        flipped_file: Path | None = None,
        settings: FakeSettings | None = None,
    ) -> None:
        """Create a fake; `flipped_file` exists while the grid is flipped, also after a crash."""
        self.boot_id = boot_id
        self._settings = settings or FakeSettings()
        self._flipped_file = flipped_file
        self.fault: Fault = fault or (lambda action, request_id: None)
        self.spoil: Spoil = lambda request_id, pixels: pixels
        self.on_safe: Callable[[], None] = lambda: None
        self.scan_change: Callable[[NDArray[np.uint16]], NDArray[np.uint16]] = lambda image: image
        self.drift_nm = (0.0, 0.0)
        self.size = 1.0
        self.gain = 1.0
        self.stage = StagePosition()
        self.current_pA = 50.0
        self.defocus_nm = 0.0
        self.current_error = 1.0
        self.blanked = True
        self.valves_open = self._settings.valves_open
        self.fastest_sweep_deg_per_s: float | None = 1000.0
        self.flipped = flipped_file is not None and flipped_file.exists()
        self.exposures = 0
        self.time_s = 0.0
        self.log: list[tuple[str, str]] = []
        self._outcomes: dict[str, object] = {}
        self._busy = False
        self._stopped = threading.Event()
        self._made_safe = threading.Event()

    def describe(self) -> Description:
        return Description(
            name="fake",
            boot_id=self.boot_id,
            simulated=True,
            sets_current=True,
            voltage_kV=300,
            convergence_mrad=8,
            inner_collection_mrad=62,
            outer_collection_mrad=250,
            stage_limits=StageLimits(),
            frame_sizes_px=(),
            defocus_limits_nm=(-1000.0, 1000.0),
            fastest_sweep_deg_per_s=self.fastest_sweep_deg_per_s,
        )

    def status(self) -> Status:
        self.fault("status", "")
        return Status(
            boot_id=self.boot_id,
            time_s=self.time_s,
            stage=self.stage,
            stage_state=StageState.READY,
            beam_blanked=self.blanked,
            current_pA=self.current_pA,
            defocus_nm=self.defocus_nm,
            valves_open=self.valves_open,
            vacuum_ok=True,
            busy=self._busy,
        )

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        return self._once(request_id, lambda: self._move(request_id, target))

    def set_current(self, request_id: str, current_pA: float) -> float:
        if self._settings.driver_error:
            raise DRIVER_ERRORS[self._settings.driver_error]
        if not 0 <= current_pA < float("inf"):
            raise OutOfLimitsError(f"current {current_pA} pA")
        self._begin("current", request_id)
        self.current_pA = current_pA * self.current_error
        return self.current_pA

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        return self._once(request_id, lambda: self._set_defocus(request_id, defocus_nm))

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        return self._once(request_id, lambda: self._acquire("acquire", request_id, scan))

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record a frame as at the mid-exposure angle, then move to `to_alpha_deg`."""
        return self._once(request_id, lambda: self._acquire_tilting(request_id, scan, to_alpha_deg))

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        return self._once(request_id, lambda: self._illuminate(request_id, duration_s, field_nm))

    def fetch_frame(self, request_id: str) -> Frame:
        frame = self._outcomes.get(request_id)
        if not isinstance(frame, Frame):
            raise AcquisitionError(f"no frame {request_id}")
        return frame

    def blank(self) -> None:
        self.fault("blank", "")
        self.blanked = True
        self._note("blank", "")

    def stop_stage(self) -> None:
        self._note("stop-stage", "")
        if self._settings.ignores_stop_until is not None:
            raise RuntimeError("the stage cannot be stopped")
        self._stopped.set()

    def make_safe(self, reason: str) -> None:
        self.blanked = True
        self._made_safe.set()
        self._stopped.set()
        self.on_safe()
        self._note("make-safe", reason)

    def wait(self, duration_s: float) -> None:
        self.time_s += duration_s

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        self._begin("simulate_operator", action.value)
        self.valves_open = action in REMOUNTS
        if action in REMOUNTS:
            self.flipped = action in (OperatorAction.FLIPPED, OperatorAction.OTHER_ASSEMBLY)
        if self._flipped_file is not None and self.flipped:
            self._flipped_file.touch()

    def close(self) -> None:
        self.blanked = True
        self._note("close", "")

    def image(self, scan: ScanSettings) -> NDArray[np.uint16]:
        """Return the present image; stage, side of the grid and object determine it."""
        view = View(self.stage, self.flipped, self.drift_nm, self.size, self.gain)
        return self.scan_change(object_image(scan, view))

    def _once(self, request_id: str, action: Callable[[], T]) -> T:
        if self._settings.forgets_requests or request_id not in self._outcomes:
            self._outcomes[request_id] = action()
        return cast(T, self._outcomes[request_id])

    def _move(self, request_id: str, target: StagePosition) -> StagePosition:
        check_target(target, StageLimits())
        self._stopped.clear()
        with self._being_busy():
            self._begin("move", request_id, f"{target.alpha_deg:g}")
            if self._settings.ignores_stop_until is not None:
                _wait_for(self._settings.ignores_stop_until)
            elif self._stopped.wait(self._settings.move_s):
                raise AbortedError("the stage was stopped")
        self.time_s += abs(target.alpha_deg - self.stage.alpha_deg)
        self.stage = target
        return target

    def _set_defocus(self, request_id: str, defocus_nm: float) -> float:
        check_defocus(defocus_nm, self.describe().defocus_limits_nm)
        self._begin("defocus", request_id)
        self.defocus_nm = defocus_nm
        return defocus_nm

    def _acquire(self, action: str, request_id: str, scan: ScanSettings) -> Frame:
        self._expose(action, request_id)
        self.exposures += 1
        pixels = self.spoil(request_id, self._pixels(request_id, scan))
        if self._settings.float_pixels:
            pixels = pixels.astype(np.float32)
        info = FrameInfo(
            request_id=request_id,
            scan=scan,
            stage=self.stage,
            current_pA=self.current_pA,
            started_s=self.time_s,
            dose_e_per_A2=scan.dose_e_per_A2(self.current_pA),
            dtype=pixels.dtype.name,
            crc32=zlib.crc32(pixels.tobytes()),
        )
        frame = contradict_record(Frame(info, pixels), self._settings.wrong_frame)
        self.time_s += scan.frame_time_s
        self._outcomes[request_id] = frame  # known even if the reply is lost
        self.fault("acquired", request_id)
        return frame

    def _acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        target = self.stage.model_copy(update={"alpha_deg": to_alpha_deg})
        check_target(target, StageLimits())
        check_sweep(scan, to_alpha_deg - self.stage.alpha_deg, self.describe())
        middle_deg = (self.stage.alpha_deg + to_alpha_deg) / 2
        self.stage = self.stage.model_copy(update={"alpha_deg": middle_deg})
        try:
            return self._acquire("acquire-tilting", request_id, scan)
        finally:
            self.stage = target

    def _illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        self._expose("illuminate", request_id)
        self.time_s += duration_s
        return shower_dose_e_per_A2(self.current_pA, duration_s, field_nm)

    def _pixels(self, request_id: str, scan: ScanSettings) -> NDArray[np.uint16]:
        if not self._settings.noise:
            return self.image(scan)
        rng = np.random.default_rng(zlib.crc32(request_id.encode()))
        return rng.integers(0, 60000, (scan.height_px, scan.width_px), dtype=np.uint16)

    def _expose(self, action: str, request_id: str) -> None:
        """Expose; after a fault the beam stays on, so that the caller must blank it."""
        if not self.valves_open:
            raise ValvesClosedError("column valves are closed: open them by hand")
        self._made_safe.clear()
        self.blanked = False
        with self._being_busy():
            self._begin(action, request_id)
            if self._made_safe.wait(self._settings.exposure_s):
                raise AbortedError("made safe")
        self.blanked = True

    @contextmanager
    def _being_busy(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def _begin(self, action: str, request_id: str, detail: str = "") -> None:
        self.fault(action, request_id)
        self._note(action, request_id, detail)

    def _note(self, action: str, request_id: str, detail: str = "") -> None:
        self.log.append((action, request_id))
        if self._settings.action_log is not None:
            with self._settings.action_log.open("a") as file:
                file.write(f"{action} {request_id} {detail}".rstrip() + "\n")
                file.flush()
                os.fsync(file.fileno())


def create(settings: dict[str, object], state_path: Path | None) -> FakeMicroscope:
    """Create the fake for a bridge: `--microscope tests.support.fake_microscope:create`."""
    chosen = FakeSettings.model_validate(settings)
    return FakeMicroscope(uuid.uuid4().hex, flipped_file=state_path, settings=chosen)


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60.0
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} never came"
        time.sleep(0.01)
