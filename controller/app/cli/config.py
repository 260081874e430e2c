"""`dualtilt config show|validate|schema`: the values, errors and schema of a protocol."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from controller.app.profiles import find_profile
from controller.app.validate_protocol import validate, wrong_in_simulator
from controller.common.exit_codes import ExitCode
from controller.common.settings_file import validate_toml
from controller.common.toml_file import read_toml
from controller.model.protocol import Protocol, read_protocol


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
    if wrong := wrong_in_simulator(path):
        yield "simulator", "(not read)", "; ".join(wrong)
        return
    yield from _values(validate_toml(read_toml(path), settings), str(path), "simulator.")


def _as_toml(value: object) -> str:
    if value is None:
        return "(left out)"
    return json.dumps(value, ensure_ascii=False, default=str)  # str masks a secret


def _validate(path: Path) -> int:
    wrong = validate(path)
    for line in wrong:
        print(line)
    if wrong:
        lines = f"{len(wrong)} line{'s' if len(wrong) > 1 else ''} above"
        print(f"{path}: {lines} to correct; nothing was changed")
        return ExitCode.USAGE
    print(f"{path}: valid")
    return ExitCode.OK
