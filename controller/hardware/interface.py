"""Interface to a microscope: data, the :class:`Microscope` protocol and its errors.

Real columns, the simulator and the bridge's client implement :class:`Microscope`. One class of
contract tests checks all of them. This module also runs on the microscope's PC, which may be old:
it imports numpy and pydantic only.

Conventions: the frame is right-handed. y is the tilt axis; the row index of an image increases
along +y, its column index along +x; z points towards the electron source at 0 degrees. Stage x, y
and z move the specimen along its own axes, which tilt with the holder: in an image at tilt alpha a
move along x is shortened by cos alpha. A scan may be rotated against this frame by an angle that
the protocol gives (`column.tilt_axis_deg`). Units are in the names. Times are on the microscope's
own clock, which is virtual on the simulator.
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
    """One image: its pixels [y, x] and its record."""

    info: FrameInfo
    pixels: NDArray[np.generic]


class StageState(StrEnum):
    """Stage state, as the microscope reports it."""

    READY = "ready"
    MOVING = "moving"
    DISABLED = "disabled"


class OfferedScan(Data):
    """Frame size and pixel size that the column offers together."""

    height_px: int
    width_px: int
    pixel_nm: Positive


class Description(Data):
    """Properties and abilities of a microscope; constant until the bridge restarts."""

    name: str
    boot_id: str
    """Id of this start of the process that owns the hardware; every start has a new one."""
    simulated: bool
    """True if no real specimen is exposed."""
    sets_current: bool
    """False if only the operator can set the probe current; the API then only reads it."""
    voltage_kV: Positive
    convergence_mrad: Positive
    inner_collection_mrad: Positive
    outer_collection_mrad: Positive
    stage_limits: StageLimits
    frame_sizes_px: tuple[tuple[int, int], ...]
    """(height, width) pairs that the column offers; empty: any size."""
    offered_scans: tuple[OfferedScan, ...] = ()
    """Frame sizes with the pixel sizes they can have; empty: any pixel size."""
    pixel_tolerance: NotNegative = 0.01
    """Largest relative difference between a requested and an offered pixel size."""
    shortest_dwell_us: NotNegative = 0.0
    defocus_limits_nm: tuple[Finite, Finite] | None = None
    """Lowest and highest defocus that may be set; None: defocus cannot be set."""
    fastest_sweep_deg_per_s: Positive | None = None
    """Highest tilt speed during an exposure; None: the stage cannot tilt during one."""


class Status(Data):
    """State of the microscope now. Reading it is fast and does not wait for an exposure."""

    boot_id: str
    time_s: NotNegative
    stage: StagePosition
    stage_state: StageState
    beam_blanked: bool
    current_pA: NotNegative
    """Probe current; on a real column the last measured screen current."""
    defocus_nm: Finite = 0.0
    """Defocus on the column's own scale: its zero is arbitrary, only differences count."""
    valves_open: bool
    vacuum_ok: bool
    busy: bool
    """True during a move, an exposure or a beam shower."""


class MicroscopeError(Exception):
    """Base class of all microscope errors; the bridge transmits `code`."""

    code = "microscope"


class OutOfLimitsError(MicroscopeError):
    """Target or setting beyond a soft limit; nothing was moved or exposed."""

    code = "out-of-limits"


class StageError(MicroscopeError):
    """Stage refused a move, stopped short of the target or is stuck."""

    code = "stage"


class BeamLostError(MicroscopeError):
    """No beam at the specimen: gun, emission or current lost."""

    code = "beam-lost"


class ValvesClosedError(MicroscopeError):
    """Column valves are closed; software never opens them."""

    code = "valves-closed"


class CurrentNotSetError(MicroscopeError):
    """Probe current differs from the requested one, and only the operator can set it."""

    code = "current-not-set"


class VacuumError(MicroscopeError):
    """Vacuum too poor for an exposure."""

    code = "vacuum"


class AcquisitionError(MicroscopeError):
    """Detector returned no usable frame."""

    code = "acquisition"


class AbortedError(MicroscopeError):
    """Action ended early by `make_safe` or `stop_stage`."""

    code = "aborted"


class NotSupportedError(MicroscopeError):
    """This column lacks the requested function."""

    code = "not-supported"


class ConnectionLostError(MicroscopeError):
    """The bridge does not answer; the last request may or may not have been carried out."""

    code = "connection-lost"


class LeaseError(MicroscopeError):
    """Another session controls the microscope, or the lease has expired."""

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
"""Error class of each code. The bridge transmits codes, not exceptions."""


@runtime_checkable
class Microscope(Protocol):
    """A column with a tilt stage and a HAADF detector.

    Calls block until done unless noted otherwise. Every action (a move, an exposure, a setting)
    takes a `request_id`. Repeating an id returns the outcome of the first call and does not act
    again. `status`, `blank`, `stop_stage` and `make_safe` may be called from another thread during
    an action. All methods raise :class:`MicroscopeError` or a subclass, with a message for the
    operator.
    """

    def describe(self) -> Description:
        """Return the properties and abilities of the microscope."""

    def status(self) -> Status:
        """Read the state of the microscope without changing it."""

    def move_stage(self, request_id: str, target: StagePosition) -> StagePosition:
        """Move the stage to `target`, wait until it is at rest and return the read-back."""

    def set_current(self, request_id: str, current_pA: float) -> float:
        """Set the probe current (pA), or verify it if it cannot be set; return the read-back."""

    def set_defocus(self, request_id: str, defocus_nm: float) -> float:
        """Set defocus (nm). Larger values move focus towards the source. Return the read-back."""

    def acquire(self, request_id: str, scan: ScanSettings) -> Frame:
        """Record one HAADF frame: unblank, expose, blank again."""

    def acquire_tilting(self, request_id: str, scan: ScanSettings, to_alpha_deg: float) -> Frame:
        """Record one frame while the stage tilts from its present angle to `to_alpha_deg`.

        The tilt speed is constant from the first pixel to the last; the other axes do not move.
        Raises NotSupportedError if the column cannot do this.
        """

    def illuminate(self, request_id: str, duration_s: float, field_nm: float) -> float:
        """Expose a square of side `field_nm` (beam shower), then blank the beam.

        Returns the dose in e/A^2, calculated from the probe current.
        """

    def fetch_frame(self, request_id: str) -> Frame:
        """Return a recent frame from the buffer, without a new exposure."""

    def blank(self) -> None:
        """Blank the beam at once."""

    def stop_stage(self) -> None:
        """Stop the running stage move, if the column can."""

    def make_safe(self, reason: str) -> None:
        """Blank the beam, stop the stage and abort running requests before they expose."""

    def wait(self, duration_s: float) -> None:
        """Wait on the microscope's own clock, which may be virtual on the simulator."""

    def close(self) -> None:
        """Make the column safe and release it."""
