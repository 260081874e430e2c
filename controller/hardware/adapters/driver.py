"""What a maker's scripting is asked to do, in our units and axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from controller.hardware.interface import StageState
from controller.model.scan import ScanSettings
from controller.model.stage import StageLimits, StagePosition

Pause = Callable[[float], None]
"""Lets seconds pass; raises AbortedError where the column is made safe meanwhile."""


@dataclass(frozen=True)
class ColumnIdentity:
    """What the scripting says of the column itself."""

    name: str
    voltage_kV: float
    convergence_mrad: float
    stage_limits: StageLimits


@dataclass(frozen=True)
class ColumnState:
    """One look at the column."""

    stage: StagePosition
    stage_state: StageState
    beam_blanked: bool
    beam_on: bool
    """High tension up, gun on, as far as it can be known."""
    valves_open: bool
    vacuum_ok: bool


class Driver(Protocol):
    """One connection to one column; used on the thread that made it, and on no other.

    Every call blocks until done and raises :class:`MicroscopeError` or one of its kinds.
    """

    def identify(self) -> ColumnIdentity:
        """Say what the column is."""

    def read_state(self) -> ColumnState:
        """ColumnState without disturbing anything."""

    def start_move(self, target: StagePosition) -> None:
        """Begin a move, or carry it out; `look` tells when it is over."""

    def stop_stage(self) -> None:
        """Stop a move; NotSupportedError where the scripting has no stop."""

    def blank(self) -> None:
        """Blank the beam."""

    def unblank(self) -> None:
        """Let the beam through."""

    def lower_screen(self, pause: Pause) -> None:
        """Bring the screen into the beam and wait until it is there."""

    def lift_screen(self, pause: Pause) -> None:
        """Take the screen out of the beam and wait until it is; at once where it is out."""

    def screen_current_pA(self) -> float:
        """Read the current on the screen, lowered and unblanked."""

    def defocus_nm(self) -> float:
        """Read the defocus; NotSupportedError where it cannot be."""

    def set_defocus(self, defocus_nm: float) -> None:
        """Set the defocus."""

    def prepare(self, scan: ScanSettings) -> None:
        """Set the scan; OutOfLimitsError, saying what would do, where it is not on offer."""

    def expose(self, scan: ScanSettings) -> NDArray[Any]:
        """Scan once with the settings prepared; counts [y, x]."""

    def close(self) -> None:
        """Let go of the column."""
