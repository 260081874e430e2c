"""What the engine does about a fault of the microscope: a table, and how each is waited out."""

from __future__ import annotations

import time
from collections.abc import Callable

from controller.hardware.interface import (
    AbortedError,
    AcquisitionError,
    BeamLostError,
    CurrentNotSetError,
    MicroscopeError,
    VacuumError,
    ValvesClosedError,
)
from controller.procedures.guarded_microscope import GuardedMicroscope

BEAM_STABLE_S = 2.0
"""How long the beam must have been back before the session goes on by itself."""

ADVICE: dict[type[MicroscopeError], str] = {
    BeamLostError: "goes on by itself when the beam has been back for a while",
    ValvesClosedError: "open the column valves, then go on",
    CurrentNotSetError: "then go on: it is measured again",
    VacuumError: "wait for the vacuum, then go on",
}
PASSING = (AbortedError, AcquisitionError)
"""Worth one more try before a person is asked."""

OTHERWISE = "see to it, then go on"


def pause_reason(step_id: str, error: MicroscopeError) -> str:
    """Say in one line what happened, where, and what to do."""
    return f"{step_id}: {error}; {ADVICE.get(type(error), OTHERWISE)}"


def recovery(error: MicroscopeError, microscope: GuardedMicroscope) -> Callable[[], bool] | None:
    """Return what tells that the fault is over; None where only a person can."""
    return _beam_is_back(microscope) if isinstance(error, BeamLostError) else None


def _beam_is_back(microscope: GuardedMicroscope) -> Callable[[], bool]:
    back_since_s: float | None = None

    def ready() -> bool:
        nonlocal back_since_s
        if not microscope.has_beam():
            back_since_s = None
            return False
        back_since_s = back_since_s or time.monotonic()
        return time.monotonic() - back_since_s >= BEAM_STABLE_S

    return ready
