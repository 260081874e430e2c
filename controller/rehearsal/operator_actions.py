"""Operator actions at the flip, correct and wrong, for simulated microscopes."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

from controller.hardware.interface import NotSupportedError


class OperatorAction(StrEnum):
    """Actions of the operator at the holder. All except `CLOSE_VALVES` end with open valves."""

    CLOSE_VALVES = "close-valves"
    FLIPPED = "flipped"
    NOT_FLIPPED = "not-flipped"
    TURNED_IN_PLANE = "turned-in-plane"
    OTHER_ASSEMBLY = "other-assembly"
    SCAN_CHANGED = "scan-changed"


REMOUNTS = frozenset(OperatorAction) - {OperatorAction.CLOSE_VALVES}
"""Ways of putting the grid back."""


@runtime_checkable
class SimulatedOperator(Protocol):
    """Microscope that simulates its operator; a real column does not."""

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Carry out `action`, once per request id; raises MicroscopeError if it fails."""


def simulated_operator_at(microscope: object) -> SimulatedOperator:
    """Return the simulated operator of a microscope.

    Raises
    ------
    NotSupportedError
        If the column is real: then the operator flips the grid.
    """
    if not isinstance(microscope, SimulatedOperator):
        raise NotSupportedError(
            "only a simulated microscope has a simulated operator: flip the grid by hand"
        )
    return microscope
