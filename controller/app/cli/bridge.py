"""`dualtilt bridge`: the service on the microscope PC.

`python -m controller.app.cli.bridge` runs this verb alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from controller.app.cli.main import VERBS
from controller.app.cli.reading_arguments import within
from controller.common.errors import DualtiltError
from controller.common.exit_codes import ExitCode
from controller.model.plausible import LEASE

DEFAULT_LEASE_S = 1.5
"""Default lease (s): the column is safe within 2 s of losing its controller, watchdog included."""
CERTS_HELP = "make certificates for both sides, then end; with --host: also a connection file"
LEASE_HELP = "time without a message after which the column is made safe (default: %(default)s)"

MICROSCOPE_HELP = (
    "column to serve: simulator (the default), or the module:function of an adapter "
    "(docs/microscope.md)"
)
FAULTS_HELP = "faults to rehearse on the simulator: names of lists in config/faults, or files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("--microscope", metavar="NAME", help=MICROSCOPE_HELP)
    add("--settings", type=Path, metavar="FILE.toml", help="the microscope's own settings")
    add(
        "--state",
        type=Path,
        metavar="FILE",
        help="file that keeps the state of the simulated microscope",
    )
    add("--real-time", action="store_true", help="run the simulator in real time")
    add("--socket", type=Path, metavar="PATH", help="Unix socket, in a folder of mode 0700")
    add(
        "--host",
        metavar="H",
        help="TCP address; other than loopback only with --certs",
    )
    add("--port", type=int, default=0, metavar="P", help="TCP port (default: any free one)")
    add(
        "--certs",
        type=Path,
        metavar="DIR",
        help="folder with cert.pem, key.pem, peer.pem for mutual TLS",
    )
    add("--make-certs", type=Path, metavar="DIR", help=CERTS_HELP)
    add(
        "--connection-file",
        type=Path,
        metavar="FILE",
        help="connection file for clients, written when ready",
    )
    add("--lease-s", type=within(LEASE), default=DEFAULT_LEASE_S, metavar="S", help=LEASE_HELP)
    add("--audit", type=Path, metavar="FILE", help="log of every action and refusal")
    add("--faults", nargs="+", default=[], metavar="LIST", help=FAULTS_HELP)
    add("--tied", action="store_true", help="end when standard input closes")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM (exit 0), Ctrl-C or SIGHUP (exit 130); the column is safe by then."""
    if args.make_certs is not None:
        return _make_certs(args)
    from controller.app.profiles import find_faults
    from controller.bridge.bridge_address import ListenAddress
    from controller.bridge.run_bridge import BridgeOptions, run_bridge
    from controller.common.runtime_folder import runtime_folder
    from controller.rehearsal.load_microscope import SIMULATOR, load_microscope, read_settings

    if args.microscope in (None, "simulator"):
        print(_simulator_text(args.microscope), flush=True)
    settings = read_settings(args.settings)
    faults = [find_faults(name) for name in args.faults]
    if args.host is None and os.name == "posix":
        listen_on = ListenAddress(socket_path=args.socket or runtime_folder() / "bridge.sock")
    else:
        listen_on = ListenAddress(
            None, host=args.host or "127.0.0.1", port=args.port, certs=args.certs
        )
    beside = listen_on.socket_path or runtime_folder() / "bridge"
    options = BridgeOptions(
        listen_on=listen_on,
        connection_file=args.connection_file or beside.with_suffix(".json"),
        lease_s=args.lease_s,
        audit=args.audit,
        tied=args.tied,
    )
    ended_by = run_bridge(
        lambda: load_microscope(
            args.microscope or SIMULATOR, settings, args.state, args.real_time, faults
        ),
        options,
        say=lambda line: print(line, flush=True),
    )
    return ExitCode.OK if ended_by in (0, signal.SIGTERM) else ExitCode.INTERRUPTED


def _simulator_text(microscope: str | None) -> str:
    """Return the line that says that no real column is served, and how to serve one."""
    why = ", because --microscope is not given" if microscope is None else ""
    return (
        f"this bridge serves the SIMULATOR{why}; for a real column: dualtilt bridge --microscope "
        "MODULE:FUNCTION, see docs/microscope.md"
    )


def _make_certs(args: argparse.Namespace) -> int:
    from controller.bridge.bridge_address import BridgeAddress, ConnectionFile
    from controller.bridge.tls import make_certs
    from controller.common.atomic import OWNER_ONLY, replace_text

    bridge_folder, session_folder = make_certs(args.make_certs)
    if args.host is not None:
        address = BridgeAddress(host=args.host, port=args.port, certs=Path())
        connection = ConnectionFile(address=address)
        replace_text(session_folder / "bridge.json", connection.model_dump_json(), OWNER_ONLY)
    print(f"{bridge_folder} is for the bridge's PC, {session_folder} for the session's")
    print("copy the folder of the other PC there by hand, then delete it here")
    return ExitCode.OK


def main() -> int:
    """Run the verb without the others; return its exit code."""
    parser = argparse.ArgumentParser(prog="dualtilt bridge", description=VERBS["bridge"])
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except DualtiltError as error:
        print(f"dualtilt bridge: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
