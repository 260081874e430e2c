"""A small microscope in memory: real seconds, no physics, and a diary another process can read."""

from __future__ import annotations

import os
import threading
import time
import uuid
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

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
from controller.model.base import Data
from controller.model.scan import FrameInfo, ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StageLimits, StagePosition
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction


class FakeSettings(Data):
    """How the fake behaves; the times are real seconds."""

    exposure_s: float = 0.0
    move_s: float = 0.0
    deaf: bool = False
    """A move runs to its end whatever is called, and `stop_stage` fails (TEM Scripting)."""
    valves_open: bool = True
    surprise: bool = False
    """`set_current` raises something that no microscope should."""
    float_pixels: bool = False
    forgetful: bool = False
    """Acts again when a request id is repeated: only the bridge stands between."""
    odd_frame: Literal["", "shape", "dtype", "record"] = ""
    """What is wrong with every frame, if anything."""
    diary: Path | None = None


class FakeMicroscope:
    """Implements the Microscope protocol; every deed goes to the diary, one line each."""

    def __init__(self, settings: FakeSettings) -> None:
        self._settings = settings
        self._boot_id = uuid.uuid4().hex
        self._started = time.monotonic()
        self._stage = StagePosition()
        self._current_pA = 50.0
        self._defocus_nm = 0.0
        self._blanked = True
        self._valves_open = settings.valves_open
        self._busy = False
        self._stop = threading.Event()
        self._outcomes: dict[str, object] = {}
        self._frames: dict[str, Frame] = {}

    def describe(self) -> Description:
        return Description(
            name="fake",
            boot_id=self._boot_id,
            simulated=True,
            sets_current=True,
            voltage_kV=300,
            convergence_mrad=8,
            inner_collection_mrad=62,
            outer_collection_mrad=250,
            stage_limits=StageLimits(),
            frame_sizes_px=(),
            defocus_limits_nm=(-1000.0, 1000.0),
            fastest_sweep_deg_per_s=1e6,
        )

    def status(self) -> Status:
        return Status(
            boot_id=self._boot_id,
            time_s=self._now_s(),
            stage=self._stage,
            stage_state=StageState.READY,
            beam_blanked=self._blanked,
            current_pA=self._current_pA,
            defocus_nm=self._defocus_nm,
            valves_open=self._valves_open,
            vacuum_ok=True,
            busy=self._busy,
        )

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        if self._is_new(request_id, self._outcomes):
            check_target(target, StageLimits())
            self._note(f"move {target.alpha_deg:g}")
            self._take(self._settings.move_s, stoppable=not self._settings.deaf)
            self._stage = target
            self._outcomes[request_id] = target
        return self._outcomes[request_id]  # type: ignore[return-value]

    def set_current(self, request_id: str, current_pA: float) -> float:
        if self._settings.surprise:
            raise ZeroDivisionError("a driver's own mistake\nsecond line")
        if not 0 <= current_pA < float("inf"):
            raise OutOfLimitsError(f"current {current_pA} pA")
        self._current_pA = current_pA
        return current_pA

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        if self._is_new(request_id, self._outcomes):
            check_defocus(defocus_nm, self.describe().defocus_limits_nm)
            self._defocus_nm = defocus_nm
            self._outcomes[request_id] = defocus_nm
        return self._outcomes[request_id]  # type: ignore[return-value]

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        if self._is_new(request_id, self._frames):
            self._frames[request_id] = self._expose_frame(request_id, scan, self._stage)
        return self._frames[request_id]

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        if self._is_new(request_id, self._frames):
            target = self._stage.model_copy(update={"alpha_deg": to_alpha_deg})
            check_target(target, StageLimits())
            check_sweep(scan, to_alpha_deg - self._stage.alpha_deg, self.describe())
            middle_deg = (self._stage.alpha_deg + to_alpha_deg) / 2
            middle = self._stage.model_copy(update={"alpha_deg": middle_deg})
            self._frames[request_id] = self._expose_frame(request_id, scan, middle)
            self._stage = target
        return self._frames[request_id]

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        if self._is_new(request_id, self._outcomes):
            self._expose(f"shower {request_id}")
            self._outcomes[request_id] = shower_dose_e_per_A2(
                self._current_pA, duration_s, field_nm
            )
        return self._outcomes[request_id]  # type: ignore[return-value]

    def fetch_frame(self, request_id: str) -> Frame:
        if request_id not in self._frames:
            raise AcquisitionError(f"no frame {request_id}")
        return self._frames[request_id]

    def blank(self) -> None:
        self._blanked = True
        self._note("blank")

    def stop_stage(self) -> None:
        self._note("stop")
        if self._settings.deaf:
            raise RuntimeError("the stage does not listen")
        self._stop.set()

    def make_safe(self, reason: str) -> None:
        self._blanked = True
        self._stop.set()
        self._note(f"safe {reason}")

    def wait(self, duration_s: float) -> None:
        self._started -= duration_s

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        self._outcomes[request_id] = action
        self._valves_open = action in REMOUNTS

    def close(self) -> None:
        self.make_safe("closed")

    def _is_new(self, request_id: str, known: Mapping[str, object]) -> bool:
        return self._settings.forgetful or request_id not in known

    def _expose_frame(self, request_id: str, scan: ScanSettings, stage: StagePosition) -> Frame:
        started_s = self._now_s()
        self._expose(f"expose {request_id}")
        seed = zlib.crc32(request_id.encode())
        shape = (scan.height_px, scan.width_px)
        pixels = np.random.default_rng(seed).integers(0, 60000, shape, dtype=np.uint16)
        image = pixels.astype(np.float32) if self._settings.float_pixels else pixels
        info = FrameInfo(
            request_id=request_id,
            scan=scan,
            stage=stage,
            current_pA=self._current_pA,
            started_s=started_s,
            dose_e_per_A2=scan.dose_e_per_A2(self._current_pA),
            dtype=image.dtype.name,
            crc32=zlib.crc32(image.tobytes()),
        )
        return _odd(Frame(info, image), self._settings.odd_frame)

    def _expose(self, deed: str) -> None:
        if not self._valves_open:
            raise ValvesClosedError("column valves are closed: open them by hand")
        self._note(deed)
        self._blanked = False
        try:
            self._take(self._settings.exposure_s, stoppable=True)
        finally:
            self._blanked = True

    def _take(self, duration_s: float, stoppable: bool) -> None:
        self._stop.clear()
        self._busy = True
        try:
            if not stoppable:
                time.sleep(duration_s)
            elif self._stop.wait(duration_s):
                raise AbortedError("stopped")
        finally:
            self._busy = False

    def _now_s(self) -> float:
        return time.monotonic() - self._started

    def _note(self, deed: str) -> None:
        if self._settings.diary is not None:
            with self._settings.diary.open("a") as diary:
                diary.write(deed + "\n")
                diary.flush()
                os.fsync(diary.fileno())


def _odd(frame: Frame, odd: str) -> Frame:
    """Spoil a frame the way a detector might."""
    match odd:
        case "shape":
            return Frame(frame.info, frame.pixels[:-1])
        case "dtype":
            return Frame(frame.info, frame.pixels.astype(np.float64))
        case "record":
            wider = frame.info.scan.model_copy(update={"width_px": frame.info.scan.width_px + 2})
            pixels = np.pad(frame.pixels, ((0, 0), (1, 1)))
            return Frame(frame.info.model_copy(update={"scan": wider}), pixels)
    return frame


def create(settings: dict[str, object], state_path: Path | None) -> FakeMicroscope:
    """Make the fake for a bridge: `--microscope tests.microscope.fake:create`."""
    del state_path
    return FakeMicroscope(FakeSettings.model_validate(settings))
