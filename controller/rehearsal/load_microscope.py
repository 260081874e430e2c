"""Microscopes by name: loaded late, so that a lean PC imports only the driver it uses."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from controller.common.errors import UsageError
from controller.common.validation import errors_in_one_line
from controller.hardware.interface import Microscope

SIMULATOR = "simulator"


def read_settings(path: Path | None) -> dict[str, Any]:
    """Read a driver's settings from TOML; no file means the driver's defaults.

    A table ``[simulator]`` stands for the whole, so that settings may sit in a profile.
    """
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"settings {path}: {error}") from error
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
    """Make the microscope called `name`.

    Parameters
    ----------
    name
        ``simulator``, or ``package.module:function`` for a driver of one's own: the function
        takes `settings` and `state_path` and returns a :class:`Microscope`.
    settings
        The driver's own settings, unchecked.
    state_path
        Where a simulated world outlives its process.
    real_time
        Let the simulator's time pass as fast as ours.
    faults
        Lists of faults that are to happen on it: a rehearsal.

    Raises
    ------
    UsageError
        For an unknown name or wrong settings, and for faults on a real column.
    """
    microscope = _load(name, settings, state_path, real_time)
    if not faults:
        return microscope
    if not microscope.describe().simulated:
        microscope.close()
        raise UsageError(f"{name}: faults are rehearsed on a simulated microscope only")
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
                f"unknown microscope {name!r}: say {SIMULATOR!r} or package.module:function"
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
