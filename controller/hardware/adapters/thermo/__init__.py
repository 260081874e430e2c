"""Adapter for Thermo Fisher and FEI columns through TEM Scripting and temscript.

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
    """Connect to the column of this PC, and blank its beam.

    There are two instrument objects, each on its own thread. A move or an exposure blocks the first
    one, and TEM Scripting cannot stop it; status and blanking use the second one.

    Parameters
    ----------
    settings
        Fields of :class:`ThermoSettings`, not yet validated.
    state_path
        Not used: only a simulated microscope saves its state.
    clock
        Source of time; default: the computer's clock.

    Raises
    ------
    ValidationError
        If a setting is wrong.
    ImportError, BridgeError
        If temscript is missing, or TEM Scripting does not answer.
    """
    checked = ThermoSettings.model_validate(settings)

    def open_driver() -> ThermoDriver:
        return ThermoDriver(open_instrument(), checked)

    work = DriverThread(open_driver, "column-work")
    watch = DriverThread(open_driver, "column-watch")
    return RealColumn(work, watch, checked, clock)
