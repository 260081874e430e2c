"""Driver for SerialEM: its script commands; its units are in :mod:`units`.

SerialEM accepts one connection and one command at a time: a command sent during a frame or a move
waits for its end. It reports neither the blanker nor the vacuum. The blanker is assumed to be as it
was set last; the column's own interlock closes the valves when the vacuum fails.
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
"""Camera set (Record) whose settings the bridge changes."""
BUFFER = "A"
"""Buffer with the image that SerialEM recorded last."""
STILL_UM = 1e-4
STILL_DEG = 1e-4
"""An axis that is nearer to its target than this is not moved."""
SCREEN_UP, SCREEN_DOWN = 0, 1
PIXEL_TOLERANCE = 0.05
"""Largest relative difference between SerialEM's pixel size and the requested one: the two
calibrations differ a little."""


class SerialemSettings(ColumnSettings):
    """Settings that SerialEM does not report."""

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
    """Driver for SerialEM through its socket."""

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
        with self._translate_errors("preparing SerialEM"):
            self._sem.NoMessageBoxOnError(1)  # nobody would press OK
            self._sem.SelectCamera(settings.camera)
            self._sem.SetSTEMDetectors(RECORD, settings.detector)

    def identify(self) -> ColumnIdentity:
        """Read the high tension; take the other properties from the settings."""
        settings = self._settings
        with self._translate_errors("reading the properties of the column"):
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
        with self._translate_errors("reading the column's state"):
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
        """Move x, y and z, then the tilt; skip what is at its target already."""
        settings = self._settings
        with self._translate_errors("moving the stage", StageError):
            present = self._stage()
            target_um = units.to_stage_um(target, settings)
            if _largest_difference(target_um, units.to_stage_um(present, settings)) > STILL_UM:
                self._sem.MoveStageTo(*target_um)
            if abs(target.alpha_deg - present.alpha_deg) > STILL_DEG:
                self._sem.TiltTo(units.to_tilt_deg(target, settings))

    def stop_stage(self) -> None:
        """Refuse: SerialEM has no such command."""
        raise NotSupportedError("SerialEM cannot stop the stage: the move runs to its end")

    def blank(self) -> None:
        """Blank the beam."""
        with self._translate_errors("blanking the beam"):
            self._sem.SetBeamBlank(1)
            self._blanked = True

    def unblank(self) -> None:
        """Unblank the beam."""
        with self._translate_errors("unblanking the beam"):
            self._blanked = False
            self._sem.SetBeamBlank(0)

    def lower_screen(self, pause: Pause) -> None:
        """Lower the screen into the beam; SerialEM waits until it is down."""
        self._bring_screen(SCREEN_DOWN, "lowering the screen")

    def lift_screen(self, pause: Pause) -> None:
        """Lift the screen out of the beam; SerialEM waits until it is up."""
        self._bring_screen(SCREEN_UP, "lifting the screen")

    def screen_current_pA(self) -> float:
        """Read the current on the screen (pA)."""
        with self._translate_errors("reading the screen current"):
            return units.from_screen_current(float(self._sem.ReportScreenCurrent()))

    def defocus_nm(self) -> float:
        """Read SerialEM's defocus (nm)."""
        with self._translate_errors("reading the defocus"):
            return float(self._sem.ReportDefocus()) * units.NM_PER_UM

    def set_defocus(self, defocus_nm: float) -> None:
        """Set SerialEM's defocus (nm)."""
        with self._translate_errors("setting the defocus"):
            self._sem.SetDefocus(defocus_nm / units.NM_PER_UM)

    def prepare(self, scan: ScanSettings) -> None:
        """Set area, binning, exposure time and magnification of the Record set."""
        choice = choose_scan(scan, self._settings)
        exposure_s = units.to_exposure_s(scan.dwell_us, scan.width_px * scan.height_px)
        with self._translate_errors("setting the scan", AcquisitionError):
            self._sem.SetCameraArea(RECORD, choice.area.name[0])
            self._sem.SetBinning(RECORD, choice.binning)
            self._sem.SetExposure(RECORD, exposure_s)
            self._sem.SetMag(choice.magnification)

    def expose(self, scan: ScanSettings) -> NDArray[Any]:
        """Record an image; return the counts [y, x], the lowest y first."""
        with self._translate_errors("recording a frame", AcquisitionError):
            self._sem.Record()
            pixel_nm = float(self._sem.ImageProperties(BUFFER)[4])
            if abs(pixel_nm - scan.pixel_nm) > PIXEL_TOLERANCE * scan.pixel_nm:
                raise AcquisitionError(
                    f"SerialEM reports pixels of {pixel_nm:.4g} nm instead of {scan.pixel_nm:.4g}: "
                    "calibrate SerialEM, or correct `fields` in the bridge's settings"
                )
            counts = np.array(self._sem.bufferImage(BUFFER))  # a copy: SerialEM reuses the buffer
        return counts[:: self._settings.rows_sense]

    def close(self) -> None:
        """End external control."""
        with suppress(*self._errors):
            self._sem.Exit(1)

    def _stage(self) -> StagePosition:
        x_um, y_um, z_um = self._sem.ReportStageXYZ()
        tilt_deg = float(self._sem.ReportTiltAngle())
        return units.from_stage((x_um, y_um, z_um), tilt_deg, self._settings)

    def _bring_screen(self, wanted: int, action: str) -> None:
        with self._translate_errors(action, AcquisitionError):
            if int(self._sem.ReportScreen()) == wanted:
                return
            (self._sem.ScreenDown if wanted == SCREEN_DOWN else self._sem.ScreenUp)()
            if int(self._sem.ReportScreen()) != wanted:
                raise AcquisitionError(f"{action}: the screen does not move")

    @contextmanager
    def _translate_errors(
        self, action: str, error_type: type[MicroscopeError] = MicroscopeError
    ) -> Iterator[None]:
        """Raise an error of SerialEM as `error_type`, with the message "`action`: reason".

        Outside StartTry and EndTry, SerialEM ends the script at a failed command.
        """
        try:
            self._sem.StartTry(1)
            yield
        except self._errors as error:
            raise error_type(f"{action}: SerialEM reports: {error}") from error
        finally:
            with suppress(*self._errors):
                self._sem.EndTry()


def _largest_difference(
    one: tuple[float, float, float], other: tuple[float, float, float]
) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
