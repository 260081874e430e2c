"""Stand-in for SerialEM's Python module and for the column behind it.

Commands, argument counts and units are those of SerialEM's master list of script commands and its
help; this module has no others. There is one connection with one command at a time, and no command
works before ConnectToSEM.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

FIELD_NM_AT_1X = 40e6


class SEMerror(Exception):  # noqa: N818 -- SerialEM's own name
    """Failed command."""


class SEMmoduleError(Exception):
    """No connection."""


class Column:
    """State of the column; tests read and change it."""

    def __init__(self) -> None:
        self.sleep: Callable[[float], None] = time.sleep
        self.during: Callable[[str], None] = lambda what: None
        self.log: list[tuple[str, str]] = []
        self.refuses: dict[str, str] = {}
        self.reachable = True
        self.connected: tuple[str, int] | None = None
        self.tries = 0
        self.xyz_um = (0.0, 0.0, 0.0)
        self.tilt_deg = 0.0
        self.busy_looks = 0
        self.blanked = 0
        self.valves = 1
        self.screen = 0
        self.probe_nA = 0.065
        self.high_voltage_kV = 200.0
        self.mag = 20e3
        self.record = {"area": "F", "binning": 1, "exposure_s": 1.0}
        self.detector: tuple[str, int] | None = None
        self.camera = 0
        self.full_px = 512
        self.pixel_error = 1.0
        self.frames: list[dict[str, Any]] = []
        self.buffer = np.zeros((1, 1), np.int16)
        self.pixel_nm = 0.0
        self.defocus_um = -1.5

    def note(self, what: str) -> None:
        if self.connected is None:
            raise SEMmoduleError("Not connected")
        if what in self.refuses:
            if not self.tries:
                self.connected = None
                raise SEMmoduleError("The script was ended by an error")
            raise SEMerror(self.refuses[what])
        self.log.append((what, threading.current_thread().name))

    def did(self, what: str) -> list[str]:
        """Return the threads that ran this command, in order."""
        return [thread for done, thread in self.log if done == what]


COLUMN = Column()


def new_column() -> Column:
    """Replace the column behind the commands by a new one."""
    global COLUMN
    COLUMN = Column()
    return COLUMN


def ConnectToSEM(port: int = 48888, address: str = "127.0.0.1") -> None:
    if not COLUMN.reachable:
        raise SEMmoduleError("Failed to connect")
    COLUMN.connected, COLUMN.tries = (address, port), 0


def Exit(end_control: int = 0) -> None:
    COLUMN.note("exit")
    COLUMN.connected = None


def StartTry(level: int = 1) -> None:
    COLUMN.note("try")
    COLUMN.tries += 1


def EndTry(level: int = 0) -> None:
    COLUMN.note("end try")
    COLUMN.tries -= 1


def NoMessageBoxOnError(on: int = 1) -> None:
    COLUMN.note("no message box")


def SelectCamera(number: int) -> None:
    COLUMN.note("camera")
    COLUMN.camera = number


def SetSTEMDetectors(camera_set: str, detector: int) -> None:
    COLUMN.note("detector")
    COLUMN.detector = (camera_set, detector)


def ReportHighVoltage() -> float:
    COLUMN.note("high voltage")
    return COLUMN.high_voltage_kV


def ReportStageBusy() -> float:
    COLUMN.note("busy")
    COLUMN.busy_looks -= 1
    return float(COLUMN.busy_looks >= 0)


def ReportColumnOrGunValve() -> float:
    COLUMN.note("valves")
    return float(COLUMN.valves)


def ReportStageXYZ() -> tuple[float, float, float]:
    COLUMN.note("xyz")
    return COLUMN.xyz_um


def ReportTiltAngle() -> float:
    COLUMN.note("tilt")
    return COLUMN.tilt_deg


def MoveStageTo(x_um: float, y_um: float, z_um: float | None = None) -> None:
    COLUMN.note("MoveStageTo")
    COLUMN.during("move")
    COLUMN.xyz_um = (x_um, y_um, COLUMN.xyz_um[2] if z_um is None else z_um)


def TiltTo(tilt_deg: float) -> None:
    COLUMN.note("TiltTo")
    COLUMN.during("move")
    COLUMN.tilt_deg = round(tilt_deg, 2)


def SetBeamBlank(on: int) -> None:
    COLUMN.note("blank" if on else "unblank")
    COLUMN.blanked = on


def ReportScreen() -> float:
    COLUMN.note("screen")
    return float(COLUMN.screen)


def ScreenDown() -> None:
    COLUMN.note("screen down")
    COLUMN.screen = 1


def ScreenUp() -> None:
    COLUMN.note("screen up")
    COLUMN.screen = 0


def ReportScreenCurrent() -> float:
    COLUMN.note("screen current")
    return COLUMN.probe_nA if COLUMN.screen and not COLUMN.blanked and COLUMN.valves == 1 else 0.0


def ReportDefocus() -> float:
    COLUMN.note("defocus")
    return COLUMN.defocus_um


def SetDefocus(defocus_um: float) -> None:
    COLUMN.note("set defocus")
    COLUMN.defocus_um = defocus_um


def SetCameraArea(camera_set: str, area: str) -> None:
    COLUMN.note("area")
    if area not in ("F", "H", "Q"):
        raise SEMerror(f"Inappropriate area: {area}")
    COLUMN.record["area"] = area


def SetBinning(camera_set: str, binning: int) -> None:
    COLUMN.note("binning")
    COLUMN.record["binning"] = binning


def SetExposure(camera_set: str, exposure_s: float, drift_s: float = 0.0) -> None:
    COLUMN.note("exposure")
    COLUMN.record["exposure_s"] = exposure_s


def SetMag(mag: float) -> None:
    COLUMN.note("mag")
    COLUMN.mag = mag


def Record() -> None:
    column = COLUMN
    column.note("frame")
    side = column.full_px // {"F": 1, "H": 2, "Q": 4}[column.record["area"]]
    side //= column.record["binning"]
    lit = not column.blanked
    column.sleep(column.record["exposure_s"] * 1.2)
    column.during("frame")
    column.frames.append({**column.record, "mag": column.mag, "screen": column.screen, "lit": lit})
    rows = np.arange(side, dtype=np.int16)[:, None] + len(column.frames)
    column.buffer = np.broadcast_to(rows * lit, (side, side)).astype(np.int16)
    full_nm = FIELD_NM_AT_1X / column.mag
    column.pixel_nm = full_nm / column.full_px * column.record["binning"] * column.pixel_error


def ImageProperties(buffer: str) -> tuple[float, ...]:
    COLUMN.note("properties")
    height, width = COLUMN.buffer.shape
    record = COLUMN.record
    return (width, height, record["binning"], record["exposure_s"], COLUMN.pixel_nm, 3)


def bufferImage(buffer: str) -> memoryview:
    """Return the buffer itself; the next frame overwrites it."""
    COLUMN.note("image")
    return memoryview(COLUMN.buffer)
