"""`dualtilt inspect`: what is understood of the files of tilt series, or of a session."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.app.cli.inspect_session import inspect_session, is_session, session_folder
from controller.app.cli.print_inputs import print_series
from controller.app.cli.reading_arguments import add_reading_arguments, reading_options

FILES_HELP = "stack, folder of images or list; or one folder of a session or of its results"
PICTURES_HELP = (
    "write the images as PNG files to DIR; of a session or of results also sinograms, slices with "
    "particles, and the tilts with the largest residuals"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE|SESSION", help=FILES_HELP)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=PICTURES_HELP)
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is understood of each series, or of a session."""
    from controller.session.grid_folder import refuse_grid

    refuse_grid(args.files[0])
    folder = session_folder(args.files[0])
    if len(args.files) == 1 and is_session(folder):
        return inspect_session(folder, args)
    options = reading_options(args, len(args.files))
    if args.pictures is not None:
        from controller.app.inspect_pictures import write_sheets

        for path in write_sheets(args.pictures, args.files, options):
            print(path.resolve())
    return print_series(args.files, options)
