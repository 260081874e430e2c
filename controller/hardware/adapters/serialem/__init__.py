"""Adapter for JEOL, Hitachi and other columns through SerialEM's Python interface.

``dualtilt bridge --microscope controller.hardware.adapters.serialem:connect --settings F.toml``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.hardware.adapters.driver_thread import Clock, DriverThread
from controller.hardware.adapters.real_column import RealColumn
from controller.hardware.adapters.serialem.driver import SerialemDriver, SerialemSettings


def connect(
    settings: dict[str, Any], state_path: Path | None, clock: Clock | None = None
) -> RealColumn:
    """Connect to the column that SerialEM controls, and blank its beam.

    SerialEM closes its connection when another one opens. The work and watch threads are therefore
    the same, and blanking waits for the running frame or move. Keep frames short.

    Parameters
    ----------
    settings
        Fields of :class:`SerialemSettings`, not yet validated.
    state_path
        Not used: only a simulated microscope saves its state.
    clock
        Source of time; default: the computer's clock.

    Raises
    ------
    ValidationError
        If a setting is wrong.
    ImportError, BridgeError
        If SerialEM's module is missing, or SerialEM does not answer.
    """
    checked = SerialemSettings.model_validate(settings)
    only = DriverThread(lambda: SerialemDriver(checked), "column")
    return RealColumn(only, only, checked, clock)
