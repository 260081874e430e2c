"""Everything that is wrong with a protocol: its settings, its simulator's profile, its plan."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from controller.app.profiles import require_simulator_profile
from controller.common.errors import UsageError
from controller.common.settings_file import describe_errors, validate_toml
from controller.common.toml_file import read_toml
from controller.model.plan import make_plan
from controller.model.protocol import CheckedProtocol, Protocol, check_content
from controller.model.sections.column import ColumnSettings
from controller.session.image_size import size_in_processing

IN_THE_DOSE = frozenset(
    {
        "ask_before_start",
        "eucentric",
        "focus",
        "limits",
        "scan",
        "series_a",
        "series_b",
        "shower",
        "tracking",
    }
)
"""Sections that the planned dose depends on."""
IN_THE_IMAGES = frozenset({"scan", "processing"})
"""Sections that the size of the images in processing depends on."""


def validate(path: Path) -> list[str]:
    """Return one line for everything that is wrong with a protocol, its simulator and its plan.

    Raises
    ------
    UsageError
        The protocol cannot be read as TOML.
    """
    content = read_toml(path, kind="protocol")
    checked = check_content(content)
    planned = [f"{path}: {line}" for line in _refusals_of_valid_part(checked)]
    return [*_wrong_settings(path, content, checked), *planned]


def wrong_settings(path: Path) -> list[str]:
    """Return one line for each wrong setting of a protocol and of its simulator's profile.

    Raises
    ------
    UsageError
        The protocol cannot be read as TOML.
    """
    content = read_toml(path, kind="protocol")
    return _wrong_settings(path, content, check_content(content))


def _wrong_settings(path: Path, content: dict[str, Any], checked: CheckedProtocol) -> list[str]:
    wrong = [f"{path}: {line}" for line in checked.wrong]
    column = _column(content)
    if column is not None and column.kind == "simulator":
        wrong += wrong_in_simulator(path.parent / column.simulator_settings)
    return wrong


def refusals(protocol: Protocol) -> Iterator[str]:
    """Give one line for each reason why the session of one assembly would not start."""
    yield from _over_budget(protocol)
    yield from _refused_by_processing(protocol)


def require_startable(path: Path, protocol: Protocol) -> None:
    """Refuse a protocol whose session would end in its pre-flight checks.

    Raises
    ------
    UsageError
        The plan is beyond the dose budget, or processing would refuse the frames.
    """
    if lines := [line for each in protocol.recorded for line in refusals(each)]:
        raise UsageError(f"{path}: {'; '.join(lines)}")


def _refusals_of_valid_part(checked: CheckedProtocol) -> Iterator[str]:
    for each in _recorded(checked.protocol):
        if IN_THE_DOSE.isdisjoint(checked.wrong_sections):
            yield from _over_budget(each)
        if IN_THE_IMAGES.isdisjoint(checked.wrong_sections):
            yield from _refused_by_processing(each)


def _recorded(protocol: Protocol) -> Iterator[Protocol]:
    """Give the protocol of each session that records an assembly; none of a wrong target."""
    if not protocol.only_flips:
        yield protocol
        return
    for each in protocol.targets or ():
        try:
            yield protocol.of_target(each.name)
        except (AttributeError, ValidationError):  # a section that has no default is wrong
            continue


def _over_budget(protocol: Protocol) -> Iterator[str]:
    planned, budget = make_plan(protocol).dose_e_per_A2, protocol.limits.dose_budget_e_per_A2
    if planned > budget:
        of = f" of {protocol.target}" if protocol.target else ""
        yield (
            f"limits.dose_budget_e_per_A2: {budget:.0f} is less than the {planned:.0f} e/Å² that "
            f"beam shower and series{of} need"
        )


def _refused_by_processing(protocol: Protocol) -> Iterator[str]:
    refusal, _ = size_in_processing(protocol)
    if refusal:
        of = f" of {protocol.target}" if protocol.target else ""
        yield f"scan, processing{of}: {refusal}"


def column_kind(path: Path) -> str | None:
    """Return the kind of a protocol's column; None if it is wrong."""
    column = _column(read_toml(path, kind="protocol"))
    return None if column is None else column.kind


def _column(content: dict[str, Any]) -> ColumnSettings | None:
    """Return the settings of the column, even if other fields are wrong."""
    try:
        return validate_toml(content.get("column", {}), ColumnSettings)
    except ValidationError:
        return None


def wrong_in_simulator(path: Path) -> list[str]:
    """Return one line for each wrong setting of a simulator's profile."""
    # imported by name: the controller depends on the simulator only in simulated sessions
    settings = importlib.import_module("simulator.settings").SimulatorSettings
    try:
        require_simulator_profile(path)
        validate_toml(read_toml(path), settings)
    except UsageError as error:
        return [str(error)]
    except ValidationError as error:
        return [f"{path}: {line}" for line in describe_errors(error, settings)]
    return []
