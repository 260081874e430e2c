"""`dualtilt pause`: pause a running session, or end the pause."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")
    parser.add_argument("--go-on", action="store_true", help="end the pause")


def run(args: argparse.Namespace) -> int:
    """Ask the session to pause after the current step, or to go on."""
    from controller.app.follow_queue import present_session
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session

    folder = present_session(args.dir) if args.dir is not None else the_only_session()
    with ServiceClient.connect(folder) as client:
        if args.go_on:
            client.go_on()
        else:
            client.pause()
    pausing = "pausing after the current step; only then is the beam blanked"
    print(f"{folder}: {'going on' if args.go_on else pausing}")
    return ExitCode.OK
