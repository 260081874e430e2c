"""`dualtilt inspect`: what is understood of the files of tilt series, or of a session."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from controller.app.cli.inspect_session import inspect_session, is_session, session_folder
from controller.app.cli.print_inputs import print_series
from controller.app.cli.reading_arguments import add_reading_arguments, reading_options
from controller.app.cli.terminal_pictures import draws_pixels, print_figures
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode

FILES_HELP = "stack, folder of images or list; or one folder of a session or of its results"
PICTURES_HELP = (
    "write the images as PNG files to DIR; of a session or of results also sinograms, alignment, "
    "slices with particles, and the tilts with the largest residuals"
)
BROWSER_HELP = (
    "show the same on a page in a browser, on this computer only; there a tilt of a session is "
    "left out with a click, and the session processed again"
)
PORT_HELP = "TCP port of the page (default: a free one)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE|SESSION", help=FILES_HELP)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help=PICTURES_HELP)
    parser.add_argument("--browser", action="store_true", help=BROWSER_HELP)
    parser.add_argument("--port", type=_port, default=0, metavar="N", help=PORT_HELP)
    add_reading_arguments(parser)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print what is understood of each series, or of a session; or show it in a browser."""
    from controller.session.grid_folder import refuse_grid

    refuse_grid(args.files[0])
    folder = session_folder(args.files[0])
    of_session = len(args.files) == 1 and is_session(folder)
    if args.browser:
        return _show_in_browser(folder if of_session else None, args)
    if of_session:
        return inspect_session(folder, args)
    options = reading_options(args, len(args.files))
    if args.pictures is not None:
        from controller.app.inspect_pictures import write_sheets

        for path in write_sheets(args.pictures, args.files, options):
            print(path.resolve())
    elif draws_pixels():
        from controller.app.inspect_pictures import contact_sheets

        print_figures(contact_sheets(args.files, options))
    return print_series(args.files, options)


def _show_in_browser(folder: Path | None, args: argparse.Namespace) -> int:
    """Serve the page until interrupted."""
    if args.pictures is not None:
        raise UsageError("--browser and --pictures: choose one of them")
    if find_spec("aiohttp") is None:
        raise UsageError(
            "inspect --browser needs the extra `web`: pip install -e '.[web]' in its source folder"
        )
    from controller.app.cli.inspect_browser import files_source, folder_source
    from controller.app.cli.inspected_page import InspectedSource
    from controller.ui.web.inspect_server import serve_inspected

    source = files_source(args) if folder is None else folder_source(folder, args)
    serve_inspected(InspectedSource(source), args.port)
    return ExitCode.OK
