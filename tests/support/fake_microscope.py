"""A small microscope that does at once what it is told, and goes wrong where a test says so."""

from __future__ import annotations

import threading
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controller.hardware.interface import AbortedError, Description, Frame, StageState, Status
from controller.model.scan import FrameInfo, ScanSettings, shower_dose_e_per_A2
from controller.model.stage import StageLimits, StagePosition
from controller.rehearsal.operator_actions import REMOUNTS, OperatorAction

OBJECT_RADIUS_NM = 12.0

USUAL_DWELL_US = 10.0
PARTICLES_NM = np.random.default_rng(1).normal(0.0, 4.5, (60, 3))
"""(x, y, z) of what the object holds, each a spot of 1 nm."""

Fault = Callable[[str, str], None]
"""Called as fault(action, request_id) before an action; raises, or blocks, or does nothing."""
Spoil = Callable[[str, NDArray[np.uint16]], NDArray[np.generic]]
"""Called as spoil(request_id, pixels): what the detector gives instead."""


class FakeMicroscope:
    """A disc with particles in it that turn with the tilt; its place on the stage.

    Attributes
    ----------
    log
        Every action, in order: (name, request id or detail).
    fault, spoil
        What goes wrong.
    scan_change
        What a changed setting of the scan makes of every image.
    drift_nm
        (x, y) of the object against the stage.
    size, gain
        Of the object and the detector, over what they are at first.
    world
        A file that outlives the microscope: there while the grid is flipped.
    """

    def __init__(
        self, boot_id: str = "boot-1", fault: Fault | None = None, world: Path | None = None
    ) -> None:
        self.boot_id = boot_id
        self._world = world
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
        self.valves_open = True
        self.fastest_sweep_deg_per_s: float | None = 1000.0
        self.flipped = world is not None and world.exists()
        self.exposures = 0
        self.time_s = 0.0
        self.log: list[tuple[str, str]] = []
        self._outcomes: dict[str, object] = {}
        self._safe = threading.Event()

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
            busy=False,
        )

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        self._begin("move", request_id)
        self.time_s += abs(target.alpha_deg - self.stage.alpha_deg)
        self.stage = target
        return self.stage

    def set_current(self, request_id: str, current_pA: float) -> float:
        self._begin("current", request_id)
        self.current_pA = current_pA * self.current_error
        return self.current_pA

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        self._begin("defocus", request_id)
        self.defocus_nm = defocus_nm
        return self.defocus_nm

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        return self._take("acquire", request_id, scan)

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Sees what there is in the middle of the way."""
        if request_id in self._outcomes:
            return self.fetch_frame(request_id)
        middle_deg = (self.stage.alpha_deg + to_alpha_deg) / 2
        self.stage = self.stage.model_copy(update={"alpha_deg": middle_deg})
        try:
            return self._take("acquire-tilting", request_id, scan)
        finally:
            self.stage = self.stage.model_copy(update={"alpha_deg": to_alpha_deg})

    def _take(self, action: str, request_id: str, scan: ScanSettings) -> Frame:
        known = self._outcomes.get(request_id)
        if isinstance(known, Frame):
            return known
        self._expose(action, request_id)
        self.exposures += 1
        pixels = self.spoil(request_id, self.image(scan))
        frame = Frame(
            FrameInfo(
                request_id=request_id,
                scan=scan,
                stage=self.stage,
                current_pA=self.current_pA,
                started_s=self.time_s,
                dose_e_per_A2=scan.dose_e_per_A2(self.current_pA),
                dtype=pixels.dtype.name,
                crc32=zlib.crc32(pixels.tobytes()),
            ),
            pixels,
        )
        self.time_s += scan.frame_time_s
        self._outcomes[request_id] = frame
        self.fault("acquired", request_id)
        return frame

    def image(self, scan: ScanSettings) -> NDArray[np.uint16]:
        """What the detector sees now: the same for the same tilt, side and place."""
        y, x = np.mgrid[: scan.height_px, : scan.width_px]
        middle = ((scan.height_px - 1) / 2, (scan.width_px - 1) / 2)
        v = (y - middle[0]) * scan.pixel_nm - self.stage.y_nm - self.drift_nm[1]
        across_nm = self.stage.x_nm * np.cos(np.deg2rad(self.stage.alpha_deg))
        u = (x - middle[1]) * scan.pixel_nm - across_nm - self.drift_nm[0]
        u, v = u / self.size, v / self.size
        disc = np.hypot(u, v) < OBJECT_RADIUS_NM
        signal = disc * (500.0 + self._grain(u, v)) * self.gain * scan.dwell_us / USUAL_DWELL_US
        image = np.asarray(100.0 + signal, np.uint16)
        return self.scan_change(image)

    def _grain(self, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Particles in the object, turned by the tilt; behind, those that were in front."""
        flip = np.array([1.0, -1.0, -1.0]) if self.flipped else np.ones(3)
        x, y, z = (flip * PARTICLES_NM).T
        alpha = np.deg2rad(self.stage.alpha_deg)
        across = u[0] - (x * np.cos(alpha) + z * np.sin(alpha))[:, None]
        along = v[:, :1] - y
        return np.asarray(150.0 * np.exp(-(along**2) / 2) @ np.exp(-(across**2) / 2))

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        self._expose("illuminate", request_id)
        self.time_s += duration_s
        return shower_dose_e_per_A2(self.current_pA, duration_s, field_nm)

    def fetch_frame(self, request_id: str) -> Frame:
        frame = self._outcomes[request_id]
        assert isinstance(frame, Frame)
        return frame

    def blank(self) -> None:
        self.fault("blank", "")
        self.blanked = True
        self.log.append(("blank", ""))

    def stop_stage(self) -> None:
        self.log.append(("stop-stage", ""))

    def make_safe(self, reason: str) -> None:
        self.blanked = True
        self._safe.set()
        self.on_safe()
        self.log.append(("make-safe", reason))

    def wait(self, duration_s: float) -> None:
        self.time_s += duration_s

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        self._begin("simulate_operator", action.value)
        self.valves_open = action in REMOUNTS
        if action in REMOUNTS:
            self.flipped = action in (OperatorAction.FLIPPED, OperatorAction.OTHER_ASSEMBLY)
        if self._world is not None and self.flipped:
            self._world.touch()

    def close(self) -> None:
        self.blanked = True
        self.log.append(("close", ""))

    def _expose(self, action: str, request_id: str) -> None:
        """What goes wrong in an exposure leaves the beam on: blanking it is the others' part."""
        self._safe.clear()
        self.blanked = False
        self._begin(action, request_id)
        if self._safe.is_set():
            raise AbortedError("made safe")
        self.blanked = True

    def _begin(self, action: str, request_id: str) -> None:
        self.fault(action, request_id)
        self.log.append((action, request_id))


def create(settings: dict[str, object], state_path: Path | None) -> FakeMicroscope:
    """Make the fake for a bridge: `--microscope tests.support.fake_microscope:create`.

    With `diary` in the settings every action is noted in that file, a line each.
    """
    diary = Path(str(settings["diary"]))

    def note(action: str, request_id: str) -> None:
        if action not in ("status", "blank", "acquired"):
            with diary.open("a") as file:
                file.write(f"{action} {request_id}\n")

    return FakeMicroscope(uuid.uuid4().hex, note, state_path)
