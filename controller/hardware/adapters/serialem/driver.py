"""SerialEM's script commands; its units are in :mod:`units`.

SerialEM takes one connection and one command at a time: whatever is asked during a frame or a
move waits for its end. It reports neither the blanker nor the vacuum: the blanker is taken to be
as it was set last; the column's own interlock closes the valves when the vacuum fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from controller.common.errors import BridgeError
from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.adapters.driver import ColumnIdentity, ColumnState, Pause
from controller.hardware.adapters.scan_choice import choose_scan
from controller.hardware.adapters.serialem import units
from controller.hardware.interface import (
    AcquisitionError,
    MicroscopeError,
    NotSupportedError,
    StageError,
    StageState,
)
from controller.model.base import Positive
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits, StagePosition

RECORD = "R"
"""The camera set whose settings are ours while the bridge runs."""
BUFFER = "A"
"""Where SerialEM puts what was taken last."""
STILL_UM = 1e-4
STILL_DEG = 1e-4
"""An axis nearer to its target is not driven."""
SCREEN_UP, SCREEN_DOWN = 0, 1
PIXEL_TOLERANCE = 0.05
"""Between SerialEM's pixel size and the one asked for: their calibrations differ a little."""


class SerialemSettings(ColumnSettings):
    """What SerialEM does not say."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 48888
    camera: Annotated[int, Field(ge=1)]
    """Number of the STEM "camera" in SerialEM's list."""
    detector: Annotated[int, Field(ge=1)]
    """Number of the HAADF detector in that camera's list of channels."""
    convergence_mrad: Positive
    alpha_limit_deg: Positive
    xy_reach_um: Positive = 900.0
    z_reach_um: Positive = 200.0


class SerialemDriver:
    """SerialEM, over its socket."""

    def __init__(self, settings: SerialemSettings) -> None:
        self._settings = settings
        self._sem: Any = import_module("serialem")
        kinds = (getattr(self._sem, name, None) for name in ("SEMerror", "SEMmoduleError"))
        self._errors = tuple(kind for kind in kinds if kind is not None)
        self._blanked = False
        try:
            self._sem.ConnectToSEM(settings.port, settings.host)
        except self._errors as error:
            raise BridgeError(
                f"SerialEM does not answer at {settings.host}:{settings.port} ({error}): start it "
                "with external control enabled (property EnableExternalPython)"
            ) from error
        with self._asking("preparing SerialEM"):
            self._sem.NoMessageBoxOnError(1)  # nobody is there to press OK
            self._sem.SelectCamera(settings.camera)
            self._sem.SetSTEMDetectors(RECORD, settings.detector)

    def identify(self) -> ColumnIdentity:
        """Read the high tension; the rest is in the settings."""
        settings = self._settings
        with self._asking("reading what the column is"):
            voltage_kV = float(self._sem.ReportHighVoltage())
        return ColumnIdentity(
            name="SerialEM",
            voltage_kV=voltage_kV,
            convergence_mrad=settings.convergence_mrad,
            stage_limits=StageLimits(
                alpha_min_deg=-settings.alpha_limit_deg,
                alpha_max_deg=settings.alpha_limit_deg,
                xy_max_nm=settings.xy_reach_um * units.NM_PER_UM,
                z_max_nm=settings.z_reach_um * units.NM_PER_UM,
            ),
        )

    def read_state(self) -> ColumnState:
        """Read stage and valves."""
        with self._asking("reading the column's state"):
            busy = int(self._sem.ReportStageBusy())
            valves = int(self._sem.ReportColumnOrGunValve()) == 1
            return ColumnState(
                stage=self._stage(),
                stage_state=StageState.MOVING if busy else StageState.READY,
                beam_blanked=self._blanked,
                beam_on=float(self._sem.ReportHighVoltage()) > 0.0,
                valves_open=valves,
                vacuum_ok=valves,
            )

    def start_move(self, target: StagePosition) -> None:
        """Drive the stage, then the tilt, where they are elsewhere."""
        settings = self._settings
        with self._asking("moving the stage", StageError):
            there = self._stage()
            place = units.to_stage_um(target, settings)
            if _apart(place, units.to_stage_um(there, settings)) > STILL_UM:
                self._sem.MoveStageTo(*place)
            if abs(target.alpha_deg - there.alpha_deg) > STILL_DEG:
                self._sem.TiltTo(units.to_tilt_deg(target, settings))

    def stop_stage(self) -> None:
        """Refuse: there is no such command."""
        raise NotSupportedError("SerialEM cannot stop the stage: the move runs to its end")

    def blank(self) -> None:
        """Blank the beam."""
        with self._asking("blanking the beam"):
            self._sem.SetBeamBlank(1)
            self._blanked = True

    def unblank(self) -> None:
        """Let the beam through."""
        with self._asking("unblanking the beam"):
            self._blanked = False
            self._sem.SetBeamBlank(0)

    def lower_screen(self, pause: Pause) -> None:
        """Put the screen into the beam; SerialEM waits for it."""
        self._bring_screen(SCREEN_DOWN, "lowering the screen")

    def lift_screen(self, pause: Pause) -> None:
        """Take the screen out of the beam; SerialEM waits for it."""
        self._bring_screen(SCREEN_UP, "lifting the screen")

    def screen_current_pA(self) -> float:
        """Read the current on the screen."""
        with self._asking("reading the screen current"):
            return units.from_screen_current(float(self._sem.ReportScreenCurrent()))

    def defocus_nm(self) -> float:
        """Read SerialEM's defocus."""
        with self._asking("reading the defocus"):
            return float(self._sem.ReportDefocus()) * units.NM_PER_UM

    def set_defocus(self, defocus_nm: float) -> None:
        """Set SerialEM's defocus."""
        with self._asking("setting the defocus"):
            self._sem.SetDefocus(defocus_nm / units.NM_PER_UM)

    def prepare(self, scan: ScanSettings) -> None:
        """Set area, binning, exposure and magnification of the Record set."""
        choice = choose_scan(scan, self._settings)
        exposure_s = units.to_exposure_s(scan.dwell_us, scan.width_px * scan.height_px)
        with self._asking("setting the scan", AcquisitionError):
            self._sem.SetCameraArea(RECORD, choice.area.name[0])
            self._sem.SetBinning(RECORD, choice.binning)
            self._sem.SetExposure(RECORD, exposure_s)
            self._sem.SetMag(choice.magnification)

    def expose(self, scan: ScanSettings) -> NDArray[Any]:
        """Take a Record image; counts [y, x], the lowest y first."""
        with self._asking("recording a frame", AcquisitionError):
            self._sem.Record()
            pixel_nm = float(self._sem.ImageProperties(BUFFER)[4])
            if abs(pixel_nm - scan.pixel_nm) > PIXEL_TOLERANCE * scan.pixel_nm:
                raise AcquisitionError(
                    f"SerialEM says the pixel is {pixel_nm:.4g} nm, not {scan.pixel_nm:.4g}: "
                    "calibrate it there, or correct fields in the bridge's settings"
                )
            counts = np.array(self._sem.bufferImage(BUFFER))  # a copy: the buffer is used again
        return counts[:: self._settings.rows_sense]

    def close(self) -> None:
        """End external control."""
        with suppress(*self._errors):
            self._sem.Exit(1)

    def _stage(self) -> StagePosition:
        x_um, y_um, z_um = self._sem.ReportStageXYZ()
        tilt_deg = float(self._sem.ReportTiltAngle())
        return units.from_stage((x_um, y_um, z_um), tilt_deg, self._settings)

    def _bring_screen(self, wanted: int, doing: str) -> None:
        with self._asking(doing, AcquisitionError):
            if int(self._sem.ReportScreen()) == wanted:
                return
            (self._sem.ScreenDown if wanted == SCREEN_DOWN else self._sem.ScreenUp)()
            if int(self._sem.ReportScreen()) != wanted:
                raise AcquisitionError(f"{doing}: it does not get there")

    @contextmanager
    def _asking(self, doing: str, kind: type[MicroscopeError] = MicroscopeError) -> Iterator[None]:
        """Raise what SerialEM refuses, or fails at, as `kind`: "`doing`: why".

        Outside StartTry and EndTry SerialEM takes a failed command for the end of the script.
        """
        try:
            self._sem.StartTry(1)
            yield
        except self._errors as error:
            raise kind(f"{doing}: SerialEM says: {error}") from error
        finally:
            with suppress(*self._errors):
                self._sem.EndTry()


def _apart(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
