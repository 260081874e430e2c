"""`dualtilt retake`: record the last tilts of the running series again."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.app.cli.reading_arguments import at_least_one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")
    parser.add_argument(
        "--tilts", type=at_least_one, default=1, metavar="N", help="number of tilts (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Request the retake, which follows the current step or the end of a pause."""
    from controller.app.follow_queue import present_session
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session

    folder = present_session(args.dir) if args.dir is not None else the_only_session()
    with ServiceClient.connect(folder) as client:
        client.retake(args.tilts)
    which = "tilt is" if args.tilts == 1 else "tilts are"
    print(f"{folder}: the last {args.tilts} {which} recorded again after the current step")
    return ExitCode.OK
