"""Driver protocol: the calls that every maker's scripting must offer, in our units and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from controller.hardware.interface import StageState
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits, StagePosition

Pause = Callable[[float], None]
"""Waits for a number of seconds; raises AbortedError if the column is made safe meanwhile."""


@dataclass(frozen=True)
class ColumnIdentity:
    """Constant properties of the column, as the scripting reports them."""

    name: str
    voltage_kV: float
    convergence_mrad: float
    stage_limits: StageLimits


@dataclass(frozen=True)
class ColumnState:
    """State of the column at one moment."""

    stage: StagePosition
    stage_state: StageState
    beam_blanked: bool
    beam_on: bool
    """True if high tension and gun are on, as far as the scripting tells."""
    valves_open: bool
    vacuum_ok: bool


class Driver(Protocol):
    """One connection to one column; used only on the thread that opened it.

    Every call blocks until done and raises :class:`MicroscopeError` or a subclass.
    """

    def identify(self) -> ColumnIdentity:
        """Return the constant properties of the column."""

    def read_state(self) -> ColumnState:
        """Read the state without changing anything."""

    def start_move(self, target: StagePosition) -> None:
        """Start a move, or carry it out; `read_state` tells when it has ended."""

    def stop_stage(self) -> None:
        """Stop a move; raises NotSupportedError if the scripting cannot."""

    def blank(self) -> None:
        """Blank the beam."""

    def unblank(self) -> None:
        """Unblank the beam."""

    def lower_screen(self, pause: Pause) -> None:
        """Lower the fluorescent screen into the beam and wait until it is down."""

    def lift_screen(self, pause: Pause) -> None:
        """Lift the screen out of the beam and wait until it is up; return at once if it is up."""

    def screen_current_pA(self) -> float:
        """Read the current on the lowered screen with the beam unblanked (pA)."""

    def defocus_nm(self) -> float:
        """Read the defocus (nm); raises NotSupportedError if it cannot be read."""

    def set_defocus(self, defocus_nm: float) -> None:
        """Set the defocus (nm)."""

    def prepare(self, scan: ScanSettings) -> None:
        """Set the scan; raises OutOfLimitsError, with the values on offer, if it is not offered."""

    def expose(self, scan: ScanSettings) -> NDArray[Any]:
        """Scan once with the prepared settings; return the counts [y, x]."""

    def close(self) -> None:
        """Release the column."""
