"""`dualtilt attach`: show a running session again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.common.exit_codes import ExitCode

DIR_HELP = "folder of the session, if several run, or of a grid: one target after the other"
LEAVE_AFTER_S = 2.0
"""Time that the screen shows the end of a target's session before the next one (s)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help=DIR_HELP)
    parser.add_argument("--headless", action="store_true", help="text instead of the screen")
    parser.add_argument(
        "--read-only", action="store_true", help="show the session, give no commands"
    )


def run(args: argparse.Namespace) -> int:
    """Show the session; return its exit code if it ended meanwhile, else 0."""
    from controller.app.cli.closed_pipe import interrupt_without_reader
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import the_only_session

    folder = args.dir or the_only_session()
    reader_has_gone = Event()
    try:
        with interrupt_without_reader(reader_has_gone):
            return _follow(folder, args)
    except KeyboardInterrupt:
        if not reader_has_gone.is_set():
            print("screen closed; the session continues", file=sys.stderr)
        return ExitCode.OK


def _follow(folder: Path, args: argparse.Namespace) -> ExitCode:
    """Show a session, a process that makes results, or one session of a grid after the other."""
    from controller.app.follow_queue import follow_queue
    from controller.app.grid_queue import is_grid
    from controller.service.service_address import NoSessionError, working_process
    from controller.service.session_client import NotAnsweringError, ServiceClient

    if is_grid(folder):
        return follow_queue(folder, lambda session: _show(session, args, LEAVE_AFTER_S), _say)
    # a missing session is reported before a screen opens
    try:
        ServiceClient.connect(folder, read_only=True).close()
    except NoSessionError:
        if working_process(folder) is None:
            raise
        return _show_results_run(folder)
    except NotAnsweringError:
        pass  # what shows it waits until it answers
    return _show(folder, args, None)


def _say(line: str) -> None:
    print(line, flush=True)


def _show(folder: Path, args: argparse.Namespace, leave_when_ended_s: float | None) -> ExitCode:
    """Show one session until it ends or the person detaches."""
    from controller.common.ctrl_c import ctrl_c_sets_event, signals_end_at_once

    if not args.headless and sys.stdin.isatty() and sys.stdout.isatty():
        from controller.ui.tui.run_screen import run_screen

        with signals_end_at_once():
            return run_screen(
                folder, read_only=args.read_only, leave_when_ended_s=leave_when_ended_s
            )
    from controller.ui.headless import follow

    with ctrl_c_sets_event() as pressed:
        return follow(folder, pressed)


def _show_results_run(folder: Path) -> ExitCode:
    """Show the process that makes a target's results; it serves no screen."""
    from controller.common.ctrl_c import ctrl_c_sets_event
    from controller.ui.headless import follow_results

    with ctrl_c_sets_event() as pressed:
        return follow_results(folder, pressed)
