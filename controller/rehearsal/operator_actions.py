"""Operator's action at the flip, for simulated microscopes: what they may do, right or wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol, runtime_checkable

from controller.hardware.interface import NotSupportedError


class OperatorAction(StrEnum):
    """Actions at the holder. Every one but `CLOSE_VALVES` opens the valves again at its end."""

    CLOSE_VALVES = "close-valves"
    FLIPPED = "flipped"
    NOT_FLIPPED = "not-flipped"
    TURNED_IN_PLANE = "turned-in-plane"
    OTHER_ASSEMBLY = "other-assembly"
    SCAN_CHANGED = "scan-changed"


REMOUNTS = frozenset(OperatorAction) - {OperatorAction.CLOSE_VALVES}
"""Ways in which the grid may be put back."""


@runtime_checkable
class SimulatedOperator(Protocol):
    """Simulated action of the operator; real columns have none."""

    def simulate_operator(self, request_id: str, action: OperatorAction) -> None:
        """Carry out `action` once per request id; MicroscopeError where it fails."""


def simulated_operator_at(microscope: object) -> SimulatedOperator:
    """Return the simulated action at a microscope's holder.

    Raises
    ------
    NotSupportedError
        A real column: the operator turns the grid.
    """
    if not isinstance(microscope, SimulatedOperator):
        raise NotSupportedError("only a simulated microscope rehearses: turn the grid by hand")
    return microscope
