"""`dualtilt check PROTOCOL.toml`: the pre-flight list without a session; shows every failure."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from controller.model.events import Checked
    from controller.model.protocol import Protocol

OF_THE_PROTOCOL = ("protocol", "dose", "image size")
"""Beginnings of the names of checks that a change of the protocol mends: wrong input."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("protocol", metavar="PROTOCOL.toml", help="a path or a profile's name")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="folder for the sessions"
    )
    parser.add_argument(
        "--bridge",
        type=Path,
        metavar="FILE",
        help="connection file of a running bridge: also check its column",
    )


def run(args: argparse.Namespace) -> int:
    """Print every check; return 0 if a session would start."""
    from controller.app.new_session import require_connection_file
    from controller.app.profiles import find_profile

    require_connection_file(args.bridge)
    path = find_profile(args.protocol)
    checks = list(all_checks(path, args.out, args.bridge))
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<{width}}  {check.detail}")
    if args.bridge is None:
        print(f"--    {'bridge':<{width}}  {_without_bridge(path)}")
    failed = [check for check in checks if not check.ok]
    outcome = f"{len(failed)} of {len(checks)} checks failed" if failed else "All checks passed"
    print(f"{outcome} (dry run)")
    if any(check.name.startswith(OF_THE_PROTOCOL) for check in failed):
        return ExitCode.USAGE
    return ExitCode.SAFETY if failed else ExitCode.OK


def all_checks(path: Path, out: Path, bridge: Path | None) -> Iterator[Checked]:
    """Give every check that is possible; a failed one does not stop the others."""
    from controller.app.validate_protocol import validate, wrong_settings
    from controller.model.events import Checked
    from controller.model.protocol import read_protocol
    from controller.procedures.preflight import check_processing, check_writing

    wrong = wrong_settings(path) and validate(path)
    for detail in wrong or [f"{path} is valid"]:
        yield Checked(name="protocol", ok=not wrong, detail=detail)
    yield check_writing(_existing(out))
    protocol = None if wrong else read_protocol(path)
    yield check_processing(protocol.processing.device if protocol else "auto")
    if protocol:
        yield from _check_against(protocol, _existing(out))
        if bridge is not None:
            yield from _check_column(protocol, bridge)


def _without_bridge(path: Path) -> str:
    """Return why the bridge was not checked, and what to do."""
    from controller.app.validate_protocol import column_kind

    if column_kind(path) == "simulator":
        return "none needed: the session starts its own simulator"
    return "not checked, nor its column; give --bridge FILE"


def _check_against(protocol: Protocol, folder: Path) -> Iterator[Checked]:
    from controller.model.plan import make_plan
    from controller.procedures.preflight import check_disk, check_dose, check_image_size
    from controller.session.disk_space import planned_frames, required_bytes

    members = protocol.recorded
    needed = sum(required_bytes(each, planned_frames(each)) for each in members)
    yield check_disk(folder, needed)
    for each in members:
        of = f" of {each.target}" if each.target else ""
        for check in (
            check_image_size(each),
            check_dose(each, make_plan(each).dose_e_per_A2),
        ):
            yield check.model_copy(update={"name": f"{check.name}{of}"})


def _check_column(protocol: Protocol, bridge: Path) -> Iterator[Checked]:
    from controller.bridge.remote_microscope import connect
    from controller.common.errors import DualtiltError
    from controller.hardware.interface import MicroscopeError
    from controller.model.events import Checked
    from controller.procedures.preflight import check_column, check_readiness

    try:
        microscope = connect(bridge, holder=None)
        column, status = microscope.describe(), microscope.status()
        ends_s = microscope.certificates_end_s
        microscope.close()
    except (MicroscopeError, DualtiltError, OSError) as error:
        yield Checked(name="bridge", ok=False, detail=str(error))
        return
    if ends_s is not None:
        yield check_certificates(ends_s, time.time())
    yield from check_column(protocol, column)
    yield from check_readiness(status)


def check_certificates(ends_s: float, now_s: float) -> Checked:
    """Check how long the certificates of bridge and session are still valid."""
    from controller.bridge.tls import REMEDY, WARN_DAYS, as_text
    from controller.model.events import Checked

    days = (ends_s - now_s) / 86400
    detail = f"valid until {as_text(ends_s)}"
    if days < WARN_DAYS:
        detail = f"WARNING: valid for {days:.0f} more days, until {as_text(ends_s)}: {REMEDY}"
    return Checked(name="certificates", ok=days > 0, detail=detail)


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
