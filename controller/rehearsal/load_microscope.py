"""Load a microscope by name, so that the microscope's PC imports only the driver it uses."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from controller.common.errors import UsageError
from controller.common.toml_file import read_toml
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import Microscope

SIMULATOR = "simulator"


def read_settings(path: Path | None) -> dict[str, Any]:
    """Read the settings of a driver from TOML; without a file the driver's defaults apply.

    If the file has a table ``[simulator]``, only that table is read: so the settings may be part of
    a profile.
    """
    if path is None:
        return {}
    content = read_toml(path, kind="file of settings")
    table = content.get(SIMULATOR, content)
    if not isinstance(table, dict):
        raise UsageError(f"settings {path}: [{SIMULATOR}] must be a table")
    return table


def load_microscope(
    name: str,
    settings: dict[str, Any],
    state_path: Path | None,
    real_time: bool,
    faults: Sequence[Path] = (),
) -> Microscope:
    """Open the microscope called `name`.

    Parameters
    ----------
    name
        ``simulator``, or ``package.module:function`` for another driver: a function of `settings`
        and `state_path` that returns a :class:`Microscope`.
    settings
        Settings of the driver, not yet validated.
    state_path
        File in which a simulated microscope saves its state.
    real_time
        True: the simulator runs in real time.
    faults
        Files with lists of faults to rehearse.

    Raises
    ------
    UsageError
        If the name is unknown, a setting is wrong, or faults are given for a real column.
    """
    microscope = _load(name, settings, state_path, real_time)
    if not faults:
        return microscope
    if not microscope.describe().simulated:
        microscope.close()
        raise UsageError(f"{name}: faults can be rehearsed on a simulated microscope only")
    from controller.rehearsal.fault_list import read_faults
    from controller.rehearsal.faulty_microscope import FaultyMicroscope

    memory = None if state_path is None else state_path.with_name("faults-happened.json")
    return FaultyMicroscope(microscope, read_faults(faults), memory)


def _load(
    name: str, settings: dict[str, Any], state_path: Path | None, real_time: bool
) -> Microscope:
    try:
        if name == SIMULATOR:
            return _simulator(settings, state_path, real_time)
        module_name, separator, function = name.partition(":")
        if not separator:
            raise UsageError(
                f"unknown microscope {name!r}: use {SIMULATOR!r} or package.module:function"
            )
        create = getattr(import_module(module_name), function)
        return cast(Microscope, create(settings, state_path))
    except (ImportError, AttributeError) as error:
        raise UsageError(f"microscope {name!r} cannot be loaded: {error}") from error
    except ValidationError as error:
        raise UsageError(f"settings of {name!r}: {errors_in_one_line(error)}") from error


def _simulator(settings: dict[str, Any], state_path: Path | None, real_time: bool) -> Microscope:
    model: type[BaseModel] = import_module("simulator.settings").SimulatorSettings
    chosen = {**settings, "time": "real"} if real_time else settings
    create = import_module("simulator.microscope").create
    return cast(Microscope, create(model.model_validate(chosen), state_path))
