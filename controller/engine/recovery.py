"""Table of the microscope's faults, with the advice to the operator and the wait for each."""

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
from controller.model.steps import step_name
from controller.procedures.guarded_microscope import GuardedMicroscope

BEAM_STABLE_S = 2.0
"""Time that the beam must be back before the session resumes automatically (s)."""

ADVICE: dict[type[MicroscopeError], str] = {
    BeamLostError: "resumes automatically when the beam is stable again",
    ValvesClosedError: "open the column valves, then go on",
    CurrentNotSetError: "then go on: the current is measured again",
    VacuumError: "wait for the vacuum, then go on",
}
PASSING = (AbortedError, AcquisitionError)
"""Faults after which the engine tries once more before it asks the operator."""

OTHERWISE = "correct the fault, then go on"
"""Advice on every other fault."""


def pause_reason(step_id: str, error: MicroscopeError) -> str:
    """Return one line: where the fault occurred, what it is and what to do."""
    return f"{step_name(step_id)}: {error}; {ADVICE.get(type(error), OTHERWISE)}"


def recovery(error: MicroscopeError, microscope: GuardedMicroscope) -> Callable[[], bool] | None:
    """Return a function that is True once the fault is over; None where only a person can tell."""
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
