"""`dualtilt report DIR`: write report.html again."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.common.exit_codes import ExitCode

HELP = "write the report of a session again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the session's folder")


def run(args: argparse.Namespace) -> int:
    """Write the report and print its path."""
    from controller.report.write import write_report

    print(write_report(args.folder).resolve())
    return ExitCode.OK
