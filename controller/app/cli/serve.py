"""`dualtilt serve`: a session's page in a browser, read-only."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

NAME_HELP = "name under which browsers reach this server, if it is not this machine's; repeatable"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("dir", nargs="?", type=Path, help="the session's folder, if several run")
    add("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    add("--port", type=_port, default=8000, help="TCP port (default: 8000)")
    add("--name", action="append", default=[], metavar="NAME", help=NAME_HELP)


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; the session continues."""
    from controller.common.errors import UsageError
    from controller.common.exit_codes import ExitCode
    from controller.common.open_inside import open_inside
    from controller.service.session_client import the_only_session

    folder = (args.dir or the_only_session()).absolute()
    try:
        open_inside(folder, "events.jsonl").close()
    except OSError:
        raise UsageError(
            f"{folder}: holds no session that can be shown: its events.jsonl is missing"
        ) from None
    if find_spec("aiohttp") is None:
        raise UsageError(
            "serve needs the extra `web`: pip install -e '.[web]' in its source folder"
        )
    from controller.ui.web.page_server import serve

    serve(folder, args.host, args.port, args.name)
    return ExitCode.OK
