"""Reach the safe state: beam blanked, stage stopped, no exposure, even if a device fails."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from controller.hardware.interface import Microscope, NotSupportedError


class SafetyCall(StrEnum):
    """Calls that make a microscope safe, in the order in which they are made."""

    BLANK = "blank"
    STOP_STAGE = "stop_stage"
    MAKE_SAFE = "make_safe"


@dataclass(frozen=True)
class SafetyProblem:
    """A safety call that failed."""

    call: SafetyCall
    error: str

    def __str__(self) -> str:
        return f"{self.call}: {self.error}"


def reach_safe_state(microscope: Microscope, reason: str) -> list[SafetyProblem]:
    """Blank the beam, stop the stage and make `microscope` safe; try all even if one fails.

    Parameters
    ----------
    microscope
        The microscope.
    reason
        Why; written to its log.

    Returns
    -------
    list of SafetyProblem
        The calls that failed; empty if everything is safe.
    """
    calls = (
        (SafetyCall.BLANK, microscope.blank),
        (SafetyCall.STOP_STAGE, microscope.stop_stage),
        (SafetyCall.MAKE_SAFE, lambda: microscope.make_safe(reason)),
    )
    problems = []
    for name, call in calls:
        try:
            call()
        except NotSupportedError:
            continue  # e.g. TEM Scripting cannot stop the stage: that is no failure
        except Exception as error:  # noqa: BLE001 -- the other devices must still be reached
            problems.append(SafetyProblem(name, str(error)))
    return problems
