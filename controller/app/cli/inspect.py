"""`dualtilt inspect`: what is understood of the files of tilt series, or of a session."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.app.cli.inspect_session import inspect_session, is_session, session_folder
from controller.app.cli.print_inputs import print_series
from controller.app.cli.reading_arguments import add_reading_arguments, reading_options
from controller.common.errors import UsageError

HELP = "show what is understood of tilt series, and the results of a session; processes nothing"
FILES_HELP = "stack, folder of images or list; or one folder of a session or of its results"
PICTURES_HELP = (
    "write images, sinograms, slices with particles, and the tilts with the largest residuals as "
    "PNG files to DIR (only for the folder of a session or of results)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE|SESSION", help=FILES_HELP)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=PICTURES_HELP)
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is understood of each series, or of a session."""
    folder = session_folder(args.files[0])
    if len(args.files) == 1 and is_session(folder):
        return inspect_session(folder, args)
    if args.pictures is not None:
        raise UsageError("--pictures needs one folder of a session or of results")
    return print_series(args.files, reading_options(args, len(args.files)))
