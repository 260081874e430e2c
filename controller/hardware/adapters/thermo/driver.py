"""Driver for TEM Scripting through temscript: its calls; its units are in :mod:`units`.

Column valves and high tension are only read, never written. The detector's list of binnings is not
read: temscript 2.1 looks for it at the place where the interface sets the contrast.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from controller.hardware.adapters.column_settings import ColumnSettings
from controller.hardware.adapters.driver import ColumnIdentity, ColumnState, Pause
from controller.hardware.adapters.scan_choice import choose_scan
from controller.hardware.adapters.thermo import units
from controller.hardware.adapters.thermo.com import translate_errors
from controller.hardware.interface import (
    AcquisitionError,
    NotSupportedError,
    OutOfLimitsError,
    StageError,
    StageState,
)
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition

STEM = 1
HIGH_TENSION_ON = 3
VACUUM_READY = 5
PROBE_CONDENSER = 1
"""Values of InstrumentMode, HighTensionState, VacuumStatus and CondenserMode in TEM Scripting."""

STAGE_STATES = {
    0: StageState.READY,
    1: StageState.DISABLED,
    2: StageState.DISABLED,  # not ready
    3: StageState.MOVING,  # going
    4: StageState.MOVING,
    5: StageState.MOVING,  # wobbling
}

STILL = {"x": 1e-10, "y": 1e-10, "z": 1e-10, "a": 1e-6}
"""An axis nearer to its target than this (metres, radians) is not moved."""
SCREEN_WITHIN_S = 15.0
SCREEN_POLL_S = 0.2
ROUNDING = 1e-3
"""Largest relative difference between a setting and its read-back."""


class ScreenPosition(IntEnum):
    """Position of the fluorescent screen."""

    UNKNOWN = 1
    UP = 2
    DOWN = 3


class ThermoSettings(ColumnSettings):
    """Settings that TEM Scripting does not report."""

    detector: str = "HAADF"
    """Name of the HAADF detector in TEM Scripting."""
    focus_by: Literal["probe", "objective"] = "probe"
    """Property that sets the focus: ProbeDefocus of the illumination (Titan-class columns in probe
    mode) or Defocus of the objective lens."""


class ThermoDriver:
    """Driver for one Instrument object, used on the thread that opened it."""

    def __init__(self, instrument: Any, settings: ThermoSettings) -> None:
        self._tem, self._settings = instrument, settings

    def identify(self) -> ColumnIdentity:
        """Read name, high tension, convergence angle and stage limits."""
        with translate_errors("reading the properties of the column"):
            family = getattr(self._tem.Configuration.ProductFamily, "name", "column")
            return ColumnIdentity(
                name=f"Thermo Fisher {family.title()}",
                voltage_kV=units.from_high_tension(self._tem.Gun.HTValue),
                convergence_mrad=self._convergence_mrad(),
                stage_limits=units.from_axis_data(self._tem.Stage.AxisData, self._settings),
            )

    def read_state(self) -> ColumnState:
        """Read stage, blanker, gun and vacuum."""
        with translate_errors("reading the column's state"):
            tem = self._tem
            return ColumnState(
                stage=units.from_stage(tem.Stage.Position, self._settings),
                stage_state=STAGE_STATES.get(int(tem.Stage.Status), StageState.DISABLED),
                beam_blanked=bool(tem.Illumination.BeamBlanked),
                beam_on=int(tem.Gun.HTState) == HIGH_TENSION_ON,
                valves_open=bool(tem.Vacuum.ColumnValvesOpen),
                vacuum_ok=int(tem.Vacuum.Status) == VACUUM_READY,
            )

    def start_move(self, target: StagePosition) -> None:
        """Move all axes that are not at their target, together; return when TEM Scripting does."""
        with translate_errors("moving the stage", StageError):
            present = self._tem.Stage.Position
            axes = units.to_stage(target, self._settings)
            moved = {a: value for a, value in axes.items() if abs(value - present[a]) > STILL[a]}
            if moved:
                self._tem.Stage.GoTo(**moved)

    def stop_stage(self) -> None:
        """Refuse: TEM Scripting has no such call."""
        raise NotSupportedError("TEM Scripting cannot stop the stage: the move runs to its end")

    def blank(self) -> None:
        """Blank the beam with the gun deflectors."""
        with translate_errors("blanking the beam"):
            self._tem.Illumination.BeamBlanked = True

    def unblank(self) -> None:
        """Unblank the beam."""
        with translate_errors("unblanking the beam"):
            self._tem.Illumination.BeamBlanked = False

    def lower_screen(self, pause: Pause) -> None:
        """Lower the fluorescent screen into the beam."""
        self._bring_screen(ScreenPosition.DOWN, pause)

    def lift_screen(self, pause: Pause) -> None:
        """Lift the fluorescent screen out of the beam."""
        self._bring_screen(ScreenPosition.UP, pause)

    def screen_current_pA(self) -> float:
        """Read the current on the screen (pA)."""
        with translate_errors("reading the screen current"):
            return units.from_screen_current(self._tem.Camera.ScreenCurrent)

    def defocus_nm(self) -> float:
        """Read the defocus of the probe, or of the objective lens (nm)."""
        with translate_errors("reading the defocus"):
            if self._settings.focus_by == "probe":
                return units.from_defocus(self._tem.Illumination.ProbeDefocus)
            return units.from_defocus(self._tem.Projection.Defocus)

    def set_defocus(self, defocus_nm: float) -> None:
        """Set the defocus of the probe, or of the objective lens (nm)."""
        defocus_m = units.to_defocus(defocus_nm)
        with translate_errors("setting the defocus"):
            if self._settings.focus_by == "probe":
                self._tem.Illumination.ProbeDefocus = defocus_m
            else:
                self._tem.Projection.Defocus = defocus_m

    def prepare(self, scan: ScanSettings) -> None:
        """Set detector, area, binning, dwell time and magnification, and check their read-back."""
        choice = choose_scan(scan, self._settings)
        with translate_errors("setting the scan", AcquisitionError):
            if int(self._tem.InstrumentModeControl.InstrumentMode) != STEM:
                raise NotSupportedError("the column is not in STEM mode: switch to STEM by hand")
            self._choose_detector()
            acquisition, illumination = self._tem.Acquisition, self._tem.Illumination
            params = acquisition.StemAcqParams
            params.ImageSize = choice.area
            params.Binning = choice.binning
            params.DwellTime = units.to_dwell(scan.dwell_us)
            acquisition.StemAcqParams = params
            illumination.StemMagnification = choice.magnification
            _check_set("dwell", "us", scan.dwell_us, units.from_dwell(params.DwellTime))
            _check_set("binning", "", choice.binning, params.Binning)
            _check_set("area", "", choice.area, params.ImageSize)
            _check_set("magnification", "x", choice.magnification, illumination.StemMagnification)

    def expose(self, scan: ScanSettings) -> NDArray[Any]:
        """Scan once; return the counts [y, x], the lowest y first."""
        with translate_errors("recording a frame", AcquisitionError):
            images = self._tem.Acquisition.AcquireImages()
            if len(images) != 1:
                raise AcquisitionError(
                    f"got {len(images)} images instead of one: select one detector only"
                )
            counts = np.asarray(images[0].Array)
        return counts[:: self._settings.rows_sense]

    def close(self) -> None:
        """Release the instrument."""
        self._tem = None

    def _choose_detector(self) -> None:
        acquisition, wanted = self._tem.Acquisition, self._settings.detector
        names = [detector.Info.Name for detector in acquisition.Detectors]
        if wanted not in names:
            raise NotSupportedError(
                f"no STEM detector {wanted!r}; there are: {', '.join(names) or 'none'}. Insert and "
                "select it at the column, then restart the bridge"
            )
        acquisition.RemoveAllAcqDevices()
        acquisition.AddAcqDeviceByName(wanted)

    def _bring_screen(self, wanted: ScreenPosition, pause: Pause) -> None:
        action = f"moving the screen {wanted.name.lower()}"
        with translate_errors(action, AcquisitionError):
            camera = self._tem.Camera
            if int(camera.MainScreen) == wanted:
                return
            camera.MainScreen = wanted
            for _ in range(round(SCREEN_WITHIN_S / SCREEN_POLL_S)):
                if int(camera.MainScreen) == wanted:
                    return
                pause(SCREEN_POLL_S)
        raise AcquisitionError(f"{action}: not finished after {SCREEN_WITHIN_S:g} s")

    def _convergence_mrad(self) -> float:
        if self._settings.convergence_mrad is not None:
            return self._settings.convergence_mrad
        illumination = self._tem.Illumination
        if int(illumination.CondenserMode) != PROBE_CONDENSER:
            raise NotSupportedError(
                "the column reports its convergence angle in probe mode only: switch to that mode, "
                "or set convergence_mrad in the bridge's settings"
            )
        return units.from_convergence(illumination.ConvergenceAngle)


def _check_set(name: str, unit: str, wanted: float, actual: float) -> None:
    if abs(actual - wanted) > ROUNDING * abs(wanted):
        raise OutOfLimitsError(
            f"{name} {wanted:g} {unit}: the column set {actual:g} {unit} instead"
        )
