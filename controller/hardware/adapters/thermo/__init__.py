"""Thermo Fisher and FEI columns, through TEM Scripting and temscript.

``dualtilt bridge --microscope controller.hardware.adapters.thermo:connect --settings FILE.toml``
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.hardware.adapters.driver_thread import Clock, DriverThread
from controller.hardware.adapters.real_column import RealColumn
from controller.hardware.adapters.thermo.com import open_instrument
from controller.hardware.adapters.thermo.driver import ThermoDriver, ThermoSettings


def connect(
    settings: dict[str, Any], state_path: Path | None, clock: Clock | None = None
) -> RealColumn:
    """Take hold of the column this PC belongs to; its beam is blanked.

    Two instruments, each on a thread of its own: a move or an exposure blocks the first, and TEM
    Scripting has no stop; status and blanking go through the second.

    Parameters
    ----------
    settings
        Of :class:`ThermoSettings`, unchecked.
    state_path
        Unused: a real world outlives its process by itself.
    clock
        Time; the computer's own.

    Raises
    ------
    ValidationError
        For wrong settings.
    ImportError, BridgeError
        Without temscript, or without an answer from TEM Scripting.
    """
    checked = ThermoSettings.model_validate(settings)

    def open_driver() -> ThermoDriver:
        return ThermoDriver(open_instrument(), checked)

    work = DriverThread(open_driver, "column-work")
    watch = DriverThread(open_driver, "column-watch")
    return RealColumn(work, watch, checked, clock)
