"""`dualtilt run`: a session at the microscope, or a rehearsal of one."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "run a dual tilt-series session"
OUT_HELP = "the session's folder; missing or empty (default: protocol's name and time, here)"
BRIDGE_HELP = (
    "connection file that `dualtilt bridge` named when it was ready; simulator: leave it out"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("protocol", metavar="PROTOCOL.toml", help="a path or a profile's name: demo, fast, paper")
    add("--out", type=Path, metavar="DIR", help=OUT_HELP)
    add("--bridge", type=Path, metavar="FILE", help=BRIDGE_HELP)
    add("--headless", action="store_true", help="text instead of the screen")


def run(args: argparse.Namespace) -> int:
    """Run the session; closing the screen does not end it."""
    from controller.app.launch import new_session, require_bridge, run_new
    from controller.app.profiles import find_profile

    protocol_path = find_profile(args.protocol)
    require_bridge(protocol_path, args.bridge)
    folder = new_session(protocol_path, args.out)
    print(f"session in {folder.path}", flush=True)
    return run_new(folder, args.bridge, headless=args.headless)
