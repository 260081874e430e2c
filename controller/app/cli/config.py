"""`dualtilt config show|validate|schema`: the values, errors and schema of a protocol."""

from __future__ import annotations

import argparse
import importlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from controller.app.profiles import find_profile, require_simulator_profile
from controller.common.bounded_read import read_bounded
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode
from controller.common.settings_file import describe_errors, validate_toml
from controller.model.protocol import Protocol, read_protocol
from controller.model.sections.column import ColumnSettings

HELP = "show or validate a protocol, or print its schema"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("show", "print every value and its source"),
        ("validate", "print every wrong field at once"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("protocol", metavar="PROTOCOL.toml", help="a path or a profile's name")
    text = "print the JSON schema of a protocol, for completion in an editor"
    actions.add_parser("schema", help=text, description=text)


def run(args: argparse.Namespace) -> int:
    """Run the action; return its exit code."""
    if args.action == "schema":
        print(schema())
        return ExitCode.OK
    path = find_profile(args.protocol)
    if args.action == "show":
        return _show(path)
    return _validate(path)


def schema() -> str:
    """Return the JSON schema of a protocol, as in ``config/protocol.schema.json``."""
    return json.dumps(Protocol.model_json_schema(), indent=2, ensure_ascii=False)


def _show(path: Path) -> int:
    protocol = read_protocol(path)
    rows = list(_values(protocol, str(path)))
    if protocol.column.kind == "simulator":
        rows += _simulator_values(path.parent / protocol.column.simulator_settings)
    names = max(len(name) for name, _, _ in rows)
    values = max(len(value) for _, value, _ in rows)
    for name, value, source in rows:
        print(f"{name:<{names}}  {value:<{values}}  {source}")
    return ExitCode.OK


def _values(
    model: BaseModel, file: str, prefix: str = "", inherited: bool = True
) -> Iterator[tuple[str, str, str]]:
    """Give (dotted name, value as in TOML, source) for every single value."""
    for field in type(model).model_fields:
        value = getattr(model, field)
        given = inherited and field in model.model_fields_set
        name = f"{prefix}{field}"
        if isinstance(value, BaseModel):
            yield from _values(value, file, f"{name}.", given)
        elif isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value):
            for number, each in enumerate(value, start=1):
                yield from _values(each, file, f"{name}.{number}.", given)
        else:
            yield name, _as_toml(value), file if given else "default"


def _simulator_values(path: Path) -> Iterator[tuple[str, str, str]]:
    """Give the same for the simulator's profile, with names that begin with ``simulator.``."""
    # imported by name: the controller depends on the simulator only in simulated sessions
    settings = importlib.import_module("simulator.settings").SimulatorSettings
    if wrong := _wrong_in_simulator(path):
        yield "simulator", "(not read)", "; ".join(wrong)
        return
    yield from _values(validate_toml(_read_toml(path), settings), str(path), "simulator.")


def _as_toml(value: object) -> str:
    if value is None:
        return "(left out)"
    return json.dumps(value, ensure_ascii=False, default=str)  # str masks a secret


def _validate(path: Path) -> int:
    wrong = validate(path)
    fields = f"{len(wrong)} wrong field{'s' if len(wrong) > 1 else ''}"
    if not wrong and (refusal := _over_budget(path) or _refused_by_processing(path)):
        wrong, fields = [refusal], "valid fields, but no session would start"
    for line in wrong:
        print(line)
    if wrong:
        print(f"{path}: {fields}; nothing was changed")
        return ExitCode.USAGE
    print(f"{path}: valid")
    return ExitCode.OK


def _over_budget(path: Path) -> str:
    """Return one line on a plan beyond the dose budget; empty for a plan within it."""
    from controller.model.plan import make_plan

    for protocol in read_protocol(path).recorded:
        planned, budget = make_plan(protocol).dose_e_per_A2, protocol.limits.dose_budget_e_per_A2
        if planned > budget:
            of = f" of {protocol.target}" if protocol.target else ""
            return (
                f"{path}: limits.dose_budget_e_per_A2: {budget:.0f} is less than the "
                f"{planned:.0f} e/Å² that shower and series{of} need"
            )
    return ""


def _refused_by_processing(path: Path) -> str:
    """Return one line on frames that processing would refuse; empty if it would not."""
    from controller.session.image_size import size_in_processing

    for protocol in read_protocol(path).recorded:
        refusal, _ = size_in_processing(protocol)
        if refusal:
            return f"{path}: scan, processing: {refusal}"
    return ""


def validate(path: Path) -> list[str]:
    """Return one line for each wrong field of a protocol and of its simulator profile.

    Raises
    ------
    UsageError
        A file cannot be read as TOML.
    """
    content = _read_toml(path)
    wrong: list[str] = []
    try:
        validate_toml(content, Protocol)
    except ValidationError as error:
        wrong += [f"{path}: {line}" for line in describe_errors(error, Protocol)]
    simulated = _simulator_settings_name(content)
    if simulated is not None:
        wrong += _wrong_in_simulator(path.parent / simulated)
    return wrong


def _simulator_settings_name(content: dict[str, Any]) -> str | None:
    """Return the name of the simulator's profile, even if other fields are wrong."""
    try:
        column = validate_toml(content.get("column", {}), ColumnSettings)
    except ValidationError:
        return None
    return column.simulator_settings if column.kind == "simulator" else None


def _wrong_in_simulator(path: Path) -> list[str]:
    # imported by name: the controller depends on the simulator only in simulated sessions
    settings = importlib.import_module("simulator.settings").SimulatorSettings
    try:
        require_simulator_profile(path)
        validate_toml(_read_toml(path), settings)
    except UsageError as error:
        return [str(error)]
    except ValidationError as error:
        return [f"{path}: {line}" for line in describe_errors(error, settings)]
    return []


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bounded(path).decode())
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from None
