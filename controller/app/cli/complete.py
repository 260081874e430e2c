"""`dualtilt complete`: record all tilts of the running series, though it has enough."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")


def run(args: argparse.Namespace) -> int:
    """Request all tilts: `end_when = "settled"` does not end the current series."""
    from controller.app.follow_queue import present_session
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session

    folder = present_session(args.dir) if args.dir is not None else the_only_session()
    with ServiceClient.connect(folder) as client:
        client.complete()
    print(f"{folder}: all tilts of the series are recorded, whatever its count")
    return ExitCode.OK
