"""`dualtilt run`: a session at the microscope or on the simulator."""

from __future__ import annotations

import argparse
from pathlib import Path

PROTOCOL_HELP = "a path or a profile's name: demo, fast, grid, paper"
OUT_HELP = "new or empty folder for the session (default: ./NAME-DATE-TIME)"
BRIDGE_HELP = (
    "connection file: named by `dualtilt bridge` when it is ready; for another PC, "
    "session/bridge.json of --make-certs; not for the simulator"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("protocol", metavar="PROTOCOL.toml", help=PROTOCOL_HELP)
    add("--out", type=Path, metavar="DIR", help=OUT_HELP)
    add("--bridge", type=Path, metavar="FILE", help=BRIDGE_HELP)
    add("--headless", action="store_true", help="text instead of the screen")


def run(args: argparse.Namespace) -> int:
    """Run the session; closing the screen does not end it."""
    from controller.app.new_session import new_session, require_bridge
    from controller.app.profiles import find_profile
    from controller.app.start_session import run_new
    from controller.app.validate_protocol import require_startable
    from controller.model.protocol import read_protocol

    protocol_path = find_profile(args.protocol)
    require_bridge(protocol_path, args.bridge)
    protocol = read_protocol(protocol_path)
    require_startable(protocol_path, protocol)
    if protocol.only_flips:
        from controller.app.grid_queue import new_grid, run_grid

        grid = new_grid(protocol_path, args.out)
        print(f"grid in {grid.path}", flush=True)
        return run_grid(grid, args.bridge, say, headless=args.headless)
    folder = new_session(protocol_path, args.out)
    print(f"session in {folder.path}", flush=True)
    return run_new(folder, args.bridge, headless=args.headless)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)
