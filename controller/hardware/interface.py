"""The microscope as the session sees it: typed data, one protocol, typed errors.

Every column, the simulator and the bridge's client implement :class:`Microscope`, and one
contract test class holds them all to it. This module is all the simulator may import of the
controller, and it runs on the old, lean PC beside a column: numpy and pydantic, nothing else.

Conventions: right-handed frame; y is the tilt axis and an image's row index runs along +y; x is
the column index; z points towards the electron source at 0 degrees. The stage's x, y and z move the
specimen along its own axes, which tilt with the holder: of a move along x an image shows cos alpha.
Units are in the names.
Times are the microscope's own clock, which is virtual on the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from controller.model.base import Data, Finite, NotNegative, Positive
from controller.model.scan import FrameInfo, ScanSettings
from controller.model.stage import StageLimits, StagePosition


@dataclass(frozen=True, eq=False)
class Frame:
    """One image: pixels [y, x] and their record."""

    info: FrameInfo
    pixels: NDArray[np.generic]


class StageState(StrEnum):
    """State that the stage reports."""

    READY = "ready"
    MOVING = "moving"
    DISABLED = "disabled"


class OfferedScan(Data):
    """A frame the column can take: its size and its pixel."""

    height_px: int
    width_px: int
    pixel_nm: Positive


class Description(Data):
    """What a microscope is and can do; constant over one boot."""

    name: str
    boot_id: str
    """New at every start of the process that owns the hardware."""
    simulated: bool
    """True where no real specimen is exposed."""
    sets_current: bool
    """False where the operator sets the probe current and the API can only read it."""
    voltage_kV: Positive
    convergence_mrad: Positive
    inner_collection_mrad: Positive
    outer_collection_mrad: Positive
    stage_limits: StageLimits
    frame_sizes_px: tuple[tuple[int, int], ...]
    """(height, width) pairs the column offers; empty where any size goes."""
    offered_scans: tuple[OfferedScan, ...] = ()
    """What each size can be combined with; empty where any pixel goes."""
    pixel_tolerance: NotNegative = 0.01
    """Share by which a pixel asked for may differ from one on offer."""
    shortest_dwell_us: NotNegative = 0.0
    defocus_limits_nm: tuple[Finite, Finite] | None = None
    """Lowest and highest defocus that may be set; None where it cannot be."""
    fastest_sweep_deg_per_s: Positive | None = None
    """How fast the stage may tilt during an exposure; None where it cannot."""


class Status(Data):
    """One look at the column: cheap, never blocked by an exposure."""

    boot_id: str
    time_s: NotNegative
    stage: StagePosition
    stage_state: StageState
    beam_blanked: bool
    current_pA: NotNegative
    """Of the probe, as far as it can be known (screen current on a real column)."""
    defocus_nm: Finite = 0.0
    """As the column counts it: only differences mean anything."""
    valves_open: bool
    vacuum_ok: bool
    busy: bool
    """A move, an exposure or an illumination is under way."""


class MicroscopeError(Exception):
    """Root of what a microscope may raise; `code` travels over the bridge."""

    code = "microscope"


class OutOfLimitsError(MicroscopeError):
    """A target or setting beyond a soft limit; nothing moved."""

    code = "out-of-limits"


class StageError(MicroscopeError):
    """The stage refused, fell short or is stuck."""

    code = "stage"


class BeamLostError(MicroscopeError):
    """No beam at the specimen: gun, emission or current gone."""

    code = "beam-lost"


class ValvesClosedError(MicroscopeError):
    """Column valves closed; never opened by software."""

    code = "valves-closed"


class CurrentNotSetError(MicroscopeError):
    """The probe current is not the one wanted, and only a hand at the column can set it."""

    code = "current-not-set"


class VacuumError(MicroscopeError):
    """Vacuum not good enough to expose."""

    code = "vacuum"


class AcquisitionError(MicroscopeError):
    """The detector gave no usable frame."""

    code = "acquisition"


class AbortedError(MicroscopeError):
    """The action was ended by `make_safe` or `stop_stage`."""

    code = "aborted"


class NotSupportedError(MicroscopeError):
    """This column cannot do that."""

    code = "not-supported"


class ConnectionLostError(MicroscopeError):
    """The bridge does not answer; what became of the last request is unknown."""

    code = "connection-lost"


class LeaseError(MicroscopeError):
    """Somebody else is in charge, or the lease has run out."""

    code = "lease"


ERRORS: dict[str, type[MicroscopeError]] = {
    error.code: error
    for error in (
        MicroscopeError,
        OutOfLimitsError,
        StageError,
        BeamLostError,
        ValvesClosedError,
        CurrentNotSetError,
        VacuumError,
        AcquisitionError,
        AbortedError,
        NotSupportedError,
        ConnectionLostError,
        LeaseError,
    )
}
"""code -> error: exceptions do not travel over the bridge, codes do."""


@runtime_checkable
class Microscope(Protocol):
    """A column with a tilt stage and a HAADF detector.

    Calls block until done unless said otherwise. Whatever moves or exposes takes a `request_id`:
    repeating an id returns the first outcome and does nothing again. `status`, `blank`,
    `stop_stage` and `make_safe` may be called from another thread while one of them blocks.
    All raise :class:`MicroscopeError` or one of its kinds, with a message for a person.
    """

    def describe(self) -> Description:
        """Say what this microscope is and can do."""

    def status(self) -> Status:
        """Look at the column without disturbing it."""

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move to `target`, wait until the stage is at rest, return where it says it is."""

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set the probe current, or verify it where it cannot be set; return the actual one, pA."""

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Focus nearer to the source by more, as the column counts it; return the actual, nm."""

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one HAADF frame: unblank, expose, blank again."""

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts from where it is to `to_alpha_deg`.

        It tilts at constant speed, from the first pixel to the last; its other axes stay.
        NotSupportedError where the column cannot.
        """

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Expose a square of side `field_nm` (beam shower), blank again.

        Returns the dose in e/A^2, from the current set.
        """

    def fetch_frame(self, request_id: str) -> Frame:
        """Return a recent frame again from the buffer: no new dose."""

    def blank(self) -> None:
        """Blank the beam at once."""

    def stop_stage(self) -> None:
        """Stop a move under way where the column can."""

    def make_safe(self, reason: str) -> None:
        """Blank the beam, stop the stage, expose nothing more for requests under way."""

    def wait(self, duration_s: float) -> None:
        """Let the microscope's own time pass: virtual on a simulator in virtual time."""

    def close(self) -> None:
        """Leave the column safe and let go of it."""
