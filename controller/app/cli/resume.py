"""`dualtilt resume`: continue a session that was stopped or interrupted."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.app.cli.run import say

COMPLETE_HELP = "first take back the early end of a series: record the tilts that it left out"
COMPLETE_IN_GRID = (
    "--complete: not for a target of a grid, whose queue has gone on; `dualtilt complete` has all "
    "tilts of a series recorded while it is recorded"
)
BRIDGE_HELP = "connection file of the bridge; that of the last run if not given"
REBUILD_HELP = "first rebuild a damaged journal from its good lines, the stacks and the mdocs"
RETAKE_HELP = "first have the tilts of damaged frames recorded again, and of frames cut off a stack"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="the session's folder")
    add("--bridge", type=Path, metavar="FILE", help=BRIDGE_HELP)
    add("--rebuild-journal", action="store_true", help=REBUILD_HELP)
    add("--retake-damaged", action="store_true", help=RETAKE_HELP)
    add("--complete", choices=("A", "B"), help=COMPLETE_HELP)
    add("--headless", action="store_true", help="text instead of the screen")


def run(args: argparse.Namespace) -> int:
    """Resume after the last step in the journal; no frame is lost or exposed twice."""
    from controller.app.grid_queue import is_grid, run_grid
    from controller.app.new_session import require_bridge
    from controller.app.start_session import start_and_watch
    from controller.common.errors import UsageError, quoted
    from controller.common.exit_codes import ExitCode
    from controller.model.events import State
    from controller.service.status_file import last_status
    from controller.session.folder import SessionFolder
    from controller.session.grid_folder import GridFolder
    from controller.session.known_bridge import known_bridge

    if is_grid(args.folder):
        if args.complete:
            raise UsageError(COMPLETE_IN_GRID)
        for repair in ("rebuild-journal", "retake-damaged"):
            if getattr(args, repair.replace("-", "_")):
                raise UsageError(f"--{repair} needs a session: {args.folder}/sessions/NAME")
        queue = GridFolder(args.folder.absolute())
        bridge = args.bridge or known_bridge(SessionFolder(queue.path))
        require_bridge(queue.protocol, bridge)
        return run_grid(queue, bridge, say, headless=args.headless)
    open_folder = SessionFolder.open_to_rebuild if args.rebuild_journal else SessionFolder.open
    folder = open_folder(args.folder.absolute())
    grid = GridFolder.of_member(folder.path).path
    if is_grid(grid) and args.complete:
        raise UsageError(COMPLETE_IN_GRID)
    repairs = args.rebuild_journal or args.retake_damaged
    if is_grid(grid) and not repairs:
        raise UsageError(f"{folder.path}: belongs to a grid; use: dualtilt resume {quoted(grid)}")
    status = last_status(folder.path)
    if status is not None and status.state is State.FINISHED:
        raise UsageError(f"{folder.path}: this session is finished; see {folder.report}")
    if args.rebuild_journal:
        from controller.model.plan import make_plan
        from controller.session.rebuild import rebuild_journal

        for line in rebuild_journal(folder, make_plan(folder.read_protocol())):
            print(line, flush=True)
    if args.retake_damaged:
        from controller.session.retake_damaged import retake_damaged

        for line in retake_damaged(folder):
            print(line, flush=True)
    if is_grid(grid):
        print(f"`dualtilt resume {quoted(grid)}` continues", flush=True)
        return ExitCode.OK
    if args.complete:
        from controller.session.restore_left_out import restore_left_out

        left = restore_left_out(folder, args.complete)
        print(f"series {args.complete}: {left} tilts that were left out are recorded", flush=True)
    bridge = args.bridge or known_bridge(folder)
    require_bridge(folder.protocol, bridge)
    print(f"session in {folder.path}", flush=True)
    return start_and_watch(folder, bridge, headless=args.headless)
