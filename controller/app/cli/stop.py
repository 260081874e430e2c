"""`dualtilt stop`: end a running session with the beam blanked."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.model.commands import AFTER_TARGET, StopWhen

MOMENTS = (*(when.value for when in StopWhen), AFTER_TARGET)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("dir", nargs="?", type=Path, help="the session's folder, if several run")
    parser.add_argument(
        "--when",
        choices=MOMENTS,
        default=StopWhen.AFTER_TILT,
        metavar="{" + ",".join(MOMENTS) + "}",
        help=f"moment of the stop (default: {StopWhen.AFTER_TILT}; {AFTER_TARGET}: of a grid with "
        "several targets); the beam is always blanked",
    )


def run(args: argparse.Namespace) -> int:
    """Ask the session to stop; returns at once."""
    from controller.app.follow_queue import present_session
    from controller.common.errors import quoted
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import ServiceClient, the_only_session
    from controller.session.grid_folder import folder_to_resume

    if args.when == AFTER_TARGET:
        return _stop_after_target(args.dir)
    folder = the_only_session() if args.dir is None else present_session(args.dir)
    with ServiceClient.connect(folder) as client:
        client.stop(StopWhen(args.when))
    again = folder_to_resume(folder)
    print(f"{folder}: stopping, {args.when}; `dualtilt resume {quoted(again)}` continues it")
    return ExitCode.OK


def _stop_after_target(folder: Path | None) -> int:
    """Leave a request that the queue obeys before its next session."""
    from controller.app.grid_queue import is_grid
    from controller.common.errors import UsageError, quoted
    from controller.common.exit_codes import ExitCode
    from controller.service.session_client import the_only_session
    from controller.session.grid_folder import GridFolder

    member = the_only_session() if folder is None else folder.absolute()
    grid = member if is_grid(member) else GridFolder.of_member(member).path
    if not is_grid(grid):
        raise UsageError(f"stop --when {AFTER_TARGET} needs the folder of a grid: GRID")
    GridFolder(grid).stop_request.touch()
    print(f"{grid}: stopping after this target; `dualtilt resume {quoted(grid)}` continues it")
    return ExitCode.OK
