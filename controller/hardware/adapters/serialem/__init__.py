"""JEOL, Hitachi and other columns, through SerialEM's Python interface.

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
    """Take hold of the column that SerialEM runs; its beam is blanked.

    SerialEM closes its connection when another opens, so what works and what watches share one:
    blanking waits for the frame or the move under way. Keep frames short.

    Parameters
    ----------
    settings
        Of :class:`SerialemSettings`, unchecked.
    state_path
        Unused: a real world outlives its process by itself.
    clock
        Time; the computer's own.

    Raises
    ------
    ValidationError
        For wrong settings.
    ImportError, BridgeError
        Without SerialEM's module, or without an answer from SerialEM.
    """
    checked = SerialemSettings.model_validate(settings)
    only = DriverThread(lambda: SerialemDriver(checked), "column")
    return RealColumn(only, only, checked, clock)
