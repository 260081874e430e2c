"""`dualtilt attach`: show a running session again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "show a running session again: its screen, or text without a terminal"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")
    parser.add_argument("--headless", action="store_true", help="text instead of the screen")
    parser.add_argument(
        "--read-only", action="store_true", help="show the session, give no commands"
    )


def run(args: argparse.Namespace) -> int:
    """Show the session; return its exit code if it ended meanwhile, else 0."""
    from controller.common.ctrl_c import ctrl_c_sets_event
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session

    folder = args.dir or the_only_session()
    # a missing session is reported before a screen opens
    ServiceClient.connect(folder, read_only=True).close()
    if not args.headless and sys.stdin.isatty() and sys.stdout.isatty():
        from controller.ui.tui.session_app import run_screen

        return run_screen(folder, read_only=args.read_only)
    from controller.ui.headless import follow

    try:
        with ctrl_c_sets_event() as pressed:
            return follow(folder, pressed)
    except KeyboardInterrupt:
        print("detached; the session continues", file=sys.stderr)
        return ExitCode.OK
