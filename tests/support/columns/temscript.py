"""Stand-in for the package temscript 2.1 and for the column behind it.

Names, units, enumerations and errors are those of temscript's documentation and source and of the
TEM Scripting manual. As with COM, the objects of an Instrument work only on the thread that made
the Instrument. All Instruments of a process share one column, `COLUMN`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np

E_OUT_OF_RANGE = -2147155971
E_NOT_OK = -2147155969
RPC_E_WRONG_THREAD = -2147417842
STEPS = (20e3, 40e3, 80e3, 160e3, 320e3)
READY, GOING = 0, 3
UNKNOWN, UP, DOWN = 1, 2, 3
TEM, STEM = 0, 1


class ProductFamily(IntEnum):
    TECNAI = 0
    TITAN = 1


class ComError(OSError):
    """Error that ctypes raises on Windows for a failed HRESULT."""

    def __init__(self, winerror: int) -> None:
        super().__init__(f"[WinError {winerror}]")
        self.winerror = winerror


class Column:
    """State of the column behind every Instrument; tests read and change it.

    Attributes
    ----------
    log
        Every command in order: (command, thread).
    during
        Called in the middle of a move or a frame with "move" or "frame".
    """

    def __init__(self) -> None:
        self.sleep: Callable[[float], None] = time.sleep
        self.during: Callable[[str], None] = lambda what: None
        self.log: list[tuple[str, str]] = []
        self.refuses: dict[str, int] = {}
        self.reachable = True
        self.position = dict.fromkeys("xyzab", 0.0)
        self.reach = {"x": 1e-3, "y": 0.9e-3, "z": 3.75e-4, "a": math.radians(79), "b": 0.5}
        self.stage_status = READY
        self.rest_after_looks = 0
        self.falls_short_rad = 0.0
        self.blanked = False
        self.screen = UP
        self.screen_target = UP
        self.probe_A = 65e-12
        self.valves_open = True
        self.vacuum = 5
        self.ht_state = 3
        self.mode = STEM
        self.condenser_mode = 1
        self.magnification = STEPS[0]
        self.detectors = ["BF", "HAADF"]
        self.active: list[str] = []
        self.params = {"ImageSize": 0, "Binning": 1, "DwellTime": 1e-6}
        self.full_px = 512
        self.frames: list[dict[str, Any]] = []
        self.offset = 1000
        self.probe_defocus_m = -1.5e-6
        self.objective_defocus_m = 0.4e-6

    def note(self, what: str) -> None:
        refusal = self.refuses.get(what)
        if refusal is not None:
            raise ComError(refusal)
        self.log.append((what, threading.current_thread().name))

    def did(self, what: str) -> list[str]:
        """Return the threads that ran this command, in order."""
        return [thread for done, thread in self.log if done == what]


COLUMN = Column()


def new_column() -> Column:
    """Replace the column behind all future Instruments by a new one."""
    global COLUMN
    COLUMN = Column()
    return COLUMN


class _Object:
    """COM object: works on its own thread only and has only the attributes of its class."""

    def __init__(self, column: Column) -> None:
        object.__setattr__(self, "column", column)
        object.__setattr__(self, "thread", threading.get_ident())

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__
        own = name.startswith("__") or name in ("thread", "column")
        if not own and value(self, "thread") != threading.get_ident():
            raise ComError(RPC_E_WRONG_THREAD)
        return value(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        object.__setattr__(self, name, value)


class Stage(_Object):
    @property
    def Position(self) -> dict[str, float]:
        return dict(self.column.position)

    @property
    def Status(self) -> int:
        column = self.column
        if column.stage_status == GOING:
            column.rest_after_looks -= 1
            if column.rest_after_looks < 0:
                column.stage_status = READY
        return column.stage_status

    def AxisData(self, axis: str) -> tuple[float, float, str]:
        reach = self.column.reach[axis]
        return -reach, reach, "radians" if axis in "ab" else "meters"

    def GoTo(self, speed: float | None = None, **axes: float) -> None:
        column = self.column
        if set(axes) - set("xyzab"):
            raise ValueError(f"Unexpected axes: {axes}")
        if column.stage_status != READY:
            raise ComError(E_NOT_OK)
        if any(abs(value) > column.reach[axis] for axis, value in axes.items()):
            raise ComError(E_OUT_OF_RANGE)
        column.note("GoTo " + "".join(sorted(axes)))
        column.during("move")
        column.position.update(axes)
        if "a" in axes:
            column.position["a"] -= math.copysign(column.falls_short_rad, axes["a"])
        column.stage_status = GOING


class Illumination(_Object):
    @property
    def BeamBlanked(self) -> bool:
        return self.column.blanked

    @BeamBlanked.setter
    def BeamBlanked(self, value: bool) -> None:
        self.column.note("blank" if value else "unblank")
        self.column.blanked = bool(value)

    @property
    def StemMagnification(self) -> float:
        self._require_stem()
        return self.column.magnification

    @StemMagnification.setter
    def StemMagnification(self, value: float) -> None:
        self._require_stem()
        self.column.magnification = min(STEPS, key=lambda step: abs(math.log(step / value)))

    @property
    def CondenserMode(self) -> int:
        return self.column.condenser_mode

    @property
    def ProbeDefocus(self) -> float:
        self._require_probe()
        return self.column.probe_defocus_m

    @ProbeDefocus.setter
    def ProbeDefocus(self, value: float) -> None:
        self._require_probe()
        self.column.note("probe defocus")
        self.column.probe_defocus_m = float(value)

    @property
    def ConvergenceAngle(self) -> float:
        if self.column.condenser_mode != 1:
            raise ComError(E_NOT_OK)
        return 0.0081

    def _require_probe(self) -> None:
        if self.column.condenser_mode != 1:
            raise ComError(E_NOT_OK)

    def _require_stem(self) -> None:
        if self.column.mode != STEM:
            raise ComError(E_NOT_OK)


class Projection(_Object):
    @property
    def Defocus(self) -> float:
        return self.column.objective_defocus_m

    @Defocus.setter
    def Defocus(self, value: float) -> None:
        self.column.note("objective defocus")
        self.column.objective_defocus_m = float(value)


class Camera(_Object):
    @property
    def MainScreen(self) -> int:
        column = self.column
        seen, column.screen = column.screen, column.screen_target  # unknown while it moves
        return seen

    @MainScreen.setter
    def MainScreen(self, value: int) -> None:
        self.column.note({UP: "screen up", DOWN: "screen down"}[int(value)])
        self.column.screen, self.column.screen_target = UNKNOWN, int(value)

    @property
    def ScreenCurrent(self) -> float:
        column = self.column
        on_it = column.screen == DOWN and not column.blanked and column.valves_open
        return column.probe_A if on_it else -2e-13


class Vacuum(_Object):
    @property
    def Status(self) -> int:
        return self.column.vacuum

    @property
    def ColumnValvesOpen(self) -> bool:
        return self.column.valves_open

    @ColumnValvesOpen.setter
    def ColumnValvesOpen(self, value: bool) -> None:
        self.column.note("valves")


class Gun(_Object):
    @property
    def HTState(self) -> int:
        return self.column.ht_state

    @property
    def HTValue(self) -> float:
        return 300e3


class DetectorInfo(_Object):
    def __init__(self, column: Column, name: str) -> None:
        super().__init__(column)
        object.__setattr__(self, "_name", name)

    @property
    def Name(self) -> str:
        return self._name

    @property
    def Binnings(self) -> list[int]:
        self.column.note("contrast")  # temscript 2.1 calls the wrong entry of the interface
        raise ComError(E_NOT_OK)


class Detector(_Object):
    def __init__(self, column: Column, name: str) -> None:
        super().__init__(column)
        object.__setattr__(self, "_info", DetectorInfo(column, name))

    @property
    def Info(self) -> DetectorInfo:
        return self._info


class StemAcqParams(_Object):
    """Copy of the parameters; a change takes effect when it is assigned to the Acquisition."""

    def __init__(self, column: Column) -> None:
        super().__init__(column)
        object.__setattr__(self, "values", dict(column.params))

    @property
    def ImageSize(self) -> int:
        return self.values["ImageSize"]

    @ImageSize.setter
    def ImageSize(self, value: int) -> None:
        self.values["ImageSize"] = int(value)

    @property
    def Binning(self) -> int:
        return self.values["Binning"]

    @Binning.setter
    def Binning(self, value: int) -> None:
        self.values["Binning"] = int(value)

    @property
    def DwellTime(self) -> float:
        return self.values["DwellTime"]

    @DwellTime.setter
    def DwellTime(self, value: float) -> None:
        self.values["DwellTime"] = min(float(value), 1e-3)  # E_VALUE_CLIP is not an error


class AcqImage(_Object):
    def __init__(self, column: Column, name: str, array: np.ndarray) -> None:
        super().__init__(column)
        object.__setattr__(self, "_what", (name, array))

    @property
    def Name(self) -> str:
        return self._what[0]

    @property
    def Array(self) -> np.ndarray:
        return self._what[1]


class Acquisition(_Object):
    @property
    def Detectors(self) -> list[Detector]:
        return [Detector(self.column, name) for name in self.column.detectors]

    @property
    def StemAcqParams(self) -> StemAcqParams:
        return StemAcqParams(self.column)

    @StemAcqParams.setter
    def StemAcqParams(self, value: StemAcqParams) -> None:
        self.column.params = dict(value.values)

    def RemoveAllAcqDevices(self) -> None:
        self.column.active = []

    def AddAcqDeviceByName(self, name: str) -> None:
        if name not in self.column.detectors:
            raise ComError(E_OUT_OF_RANGE)
        self.column.active.append(name)

    def AcquireImages(self) -> list[AcqImage]:
        column = self.column
        column.note("frame")
        params = column.params
        side = column.full_px // 2 ** params["ImageSize"] // params["Binning"]
        lit = not column.blanked
        column.sleep(side**2 * params["DwellTime"] * 1.2)
        column.during("frame")
        column.frames.append(
            {**params, "magnification": column.magnification, "screen": column.screen, "lit": lit}
        )
        rows = np.arange(side, dtype=np.int32)[:, None] + column.offset + len(column.frames)
        counts = np.broadcast_to(rows, (side, side)).copy() if lit else np.zeros((side, side), "i4")
        return [AcqImage(column, name, counts) for name in column.active]


class InstrumentModeControl(_Object):
    @property
    def InstrumentMode(self) -> int:
        return self.column.mode


class Configuration(_Object):
    @property
    def ProductFamily(self) -> ProductFamily:
        return ProductFamily.TITAN


class Instrument(_Object):
    """Returns a new object at every access, as temscript does."""

    Stage = property(lambda self: Stage(self.column))
    Illumination = property(lambda self: Illumination(self.column))
    Projection = property(lambda self: Projection(self.column))
    Camera = property(lambda self: Camera(self.column))
    Vacuum = property(lambda self: Vacuum(self.column))
    Gun = property(lambda self: Gun(self.column))
    Acquisition = property(lambda self: Acquisition(self.column))
    InstrumentModeControl = property(lambda self: InstrumentModeControl(self.column))
    Configuration = property(lambda self: Configuration(self.column))


def GetInstrument() -> Instrument:
    """Return an Instrument for this thread."""
    if not COLUMN.reachable:
        raise ComError(-2147221164)  # REGDB_E_CLASSNOTREG
    return Instrument(COLUMN)
