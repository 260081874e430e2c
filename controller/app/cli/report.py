"""`dualtilt report DIR`: write report.html again."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.common.exit_codes import ExitCode

HELP = "write the report of a session"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the verb."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the session's folder")


def run(args: argparse.Namespace) -> int:
    """Carry out the verb."""
    from controller.report.write import write_report

    print(write_report(args.folder).resolve())
    return ExitCode.OK
