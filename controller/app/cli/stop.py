"""`dualtilt stop`: end a running session with the beam blanked."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.model.commands import StopWhen

HELP = "stop a running session; `dualtilt resume` continues it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")
    parser.add_argument(
        "--when",
        choices=[when.value for when in StopWhen],
        default=StopWhen.AFTER_TILT,
        metavar="{" + ",".join(StopWhen) + "}",
        help=f"moment of the stop (default: {StopWhen.AFTER_TILT}); the beam is always blanked",
    )


def run(args: argparse.Namespace) -> int:
    """Ask the session to stop; returns at once."""
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session

    folder = args.dir or the_only_session()
    with ServiceClient.connect(folder) as client:
        client.stop(StopWhen(args.when))
    print(f"{folder}: stopping, {args.when}; `dualtilt resume {folder}` continues it")
    return ExitCode.OK
