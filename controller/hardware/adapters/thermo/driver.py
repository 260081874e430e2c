"""TEM Scripting through temscript: names and order of its calls; its units are in :mod:`units`.

The column valves are read and never written, and neither is the high tension. The detector's
list of binnings is not read: temscript 2.1 looks for it where the interface sets the contrast.
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
from controller.hardware.adapters.thermo.com import asking
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
"""InstrumentMode, HighTensionState, VacuumStatus and CondenserMode, as TEM Scripting numbers
them."""

STAGE_STATES = {
    0: StageState.READY,
    1: StageState.DISABLED,
    2: StageState.DISABLED,  # not ready
    3: StageState.MOVING,  # going
    4: StageState.MOVING,
    5: StageState.MOVING,  # wobbling
}

STILL = {"x": 1e-10, "y": 1e-10, "z": 1e-10, "a": 1e-6}
"""An axis nearer to its target, in metres and radians, is not driven."""
SCREEN_WITHIN_S = 15.0
SCREEN_POLL_S = 0.2
ROUNDING = 1e-3
"""Of what is read back of a setting."""


class ScreenPosition(IntEnum):
    """Where the fluorescent screen is."""

    UNKNOWN = 1
    UP = 2
    DOWN = 3


class ThermoSettings(ColumnSettings):
    """What TEM Scripting does not say."""

    detector: str = "HAADF"
    """As the scripting names it."""
    focus_by: Literal["probe", "objective"] = "probe"
    """What sets the focus: the illumination's ProbeDefocus, which Titan-class columns have in
    probe mode, or the objective's Defocus."""


class ThermoDriver:
    """One Instrument, on the thread that made it."""

    def __init__(self, instrument: Any, settings: ThermoSettings) -> None:
        self._tem, self._settings = instrument, settings

    def identify(self) -> ColumnIdentity:
        """Read name, high tension, convergence and the stage's reach."""
        with asking("reading what the column is"):
            family = getattr(self._tem.Configuration.ProductFamily, "name", "column")
            return ColumnIdentity(
                name=f"Thermo Fisher {family.title()}",
                voltage_kV=units.from_high_tension(self._tem.Gun.HTValue),
                convergence_mrad=self._convergence_mrad(),
                stage_limits=units.from_axis_data(self._tem.Stage.AxisData, self._settings),
            )

    def read_state(self) -> ColumnState:
        """Read stage, blanker, gun and vacuum."""
        with asking("reading the column's state"):
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
        """Drive the axes that are elsewhere, all at once; returns when TEM Scripting does."""
        with asking("moving the stage", StageError):
            there = self._tem.Stage.Position
            axes = units.to_stage(target, self._settings)
            driven = {a: value for a, value in axes.items() if abs(value - there[a]) > STILL[a]}
            if driven:
                self._tem.Stage.GoTo(**driven)

    def stop_stage(self) -> None:
        """Refuse: there is no such call."""
        raise NotSupportedError("TEM Scripting cannot stop the stage: the move runs to its end")

    def blank(self) -> None:
        """Blank with the gun's deflectors."""
        with asking("blanking the beam"):
            self._tem.Illumination.BeamBlanked = True

    def unblank(self) -> None:
        """Let the beam through."""
        with asking("unblanking the beam"):
            self._tem.Illumination.BeamBlanked = False

    def lower_screen(self, pause: Pause) -> None:
        """Put the fluorescent screen into the beam."""
        self._bring_screen(ScreenPosition.DOWN, pause)

    def lift_screen(self, pause: Pause) -> None:
        """Take the fluorescent screen out of the beam."""
        self._bring_screen(ScreenPosition.UP, pause)

    def screen_current_pA(self) -> float:
        """Read the current on the screen."""
        with asking("reading the screen current"):
            return units.from_screen_current(self._tem.Camera.ScreenCurrent)

    def defocus_nm(self) -> float:
        """Read the defocus of the probe, or of the objective lens."""
        with asking("reading the defocus"):
            if self._settings.focus_by == "probe":
                return units.from_defocus(self._tem.Illumination.ProbeDefocus)
            return units.from_defocus(self._tem.Projection.Defocus)

    def set_defocus(self, defocus_nm: float) -> None:
        """Set the defocus of the probe, or of the objective lens."""
        defocus_m = units.to_defocus(defocus_nm)
        with asking("setting the defocus"):
            if self._settings.focus_by == "probe":
                self._tem.Illumination.ProbeDefocus = defocus_m
            else:
                self._tem.Projection.Defocus = defocus_m

    def prepare(self, scan: ScanSettings) -> None:
        """Set detector, area, binning, dwell time and magnification; read all of them back."""
        choice = choose_scan(scan, self._settings)
        with asking("setting the scan", AcquisitionError):
            if int(self._tem.InstrumentModeControl.InstrumentMode) != STEM:
                raise NotSupportedError("the column is not in STEM mode: switch it by hand")
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
        """Scan once; counts [y, x], the lowest y first."""
        with asking("recording a frame", AcquisitionError):
            images = self._tem.Acquisition.AcquireImages()
            if len(images) != 1:
                raise AcquisitionError(f"{len(images)} images instead of one: select one detector")
            counts = np.asarray(images[0].Array)
        return counts[:: self._settings.rows_sense]

    def close(self) -> None:
        """Let go of the instrument."""
        self._tem = None

    def _choose_detector(self) -> None:
        acquisition, wanted = self._tem.Acquisition, self._settings.detector
        names = [detector.Info.Name for detector in acquisition.Detectors]
        if wanted not in names:
            raise NotSupportedError(
                f"no STEM detector {wanted!r} but {', '.join(names) or 'none'}: insert and select "
                "it at the column, then restart the bridge"
            )
        acquisition.RemoveAllAcqDevices()
        acquisition.AddAcqDeviceByName(wanted)

    def _bring_screen(self, wanted: ScreenPosition, pause: Pause) -> None:
        doing = f"bringing the screen {wanted.name.lower()}"
        with asking(doing, AcquisitionError):
            camera = self._tem.Camera
            if int(camera.MainScreen) == wanted:
                return
            camera.MainScreen = wanted
            for _ in range(round(SCREEN_WITHIN_S / SCREEN_POLL_S)):
                if int(camera.MainScreen) == wanted:
                    return
                pause(SCREEN_POLL_S)
        raise AcquisitionError(f"{doing}: it is not there after {SCREEN_WITHIN_S:g} s")

    def _convergence_mrad(self) -> float:
        if self._settings.convergence_mrad is not None:
            return self._settings.convergence_mrad
        illumination = self._tem.Illumination
        if int(illumination.CondenserMode) != PROBE_CONDENSER:
            raise NotSupportedError(
                "the column tells its convergence angle in probe mode only: switch it, or write "
                "convergence_mrad into the bridge's settings"
            )
        return units.from_convergence(illumination.ConvergenceAngle)


def _check_set(name: str, unit: str, wanted: float, actual: float) -> None:
    if abs(actual - wanted) > ROUNDING * abs(wanted):
        raise OutOfLimitsError(f"{name} {wanted:g} {unit}: the column makes it {actual:g} {unit}")
