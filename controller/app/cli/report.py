"""`dualtilt report DIR`: write report.html again, and its figures."""

from __future__ import annotations

import argparse
from pathlib import Path

from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode

FIGURES = "figures"
"""Subfolder for the figures."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the session's folder")
    parser.add_argument(
        "--figures",
        action="store_true",
        help=f"write the figures, too, into DIR/{FIGURES}: PNG, SVG, and a page for the lab book",
    )


def run(args: argparse.Namespace) -> int:
    """Write the report, and its figures if asked for, and print the paths."""
    from controller.app.grid_queue import is_grid
    from controller.app.grid_status import write_grid_report
    from controller.report.write import write_report

    if is_grid(args.folder):
        print(write_grid_report(args.folder).resolve())
        return ExitCode.OK
    print(write_report(args.folder).resolve())
    if args.figures:
        for path in _write_figures(args.folder):
            print(path.resolve())
    return ExitCode.OK


def _write_figures(folder: Path) -> list[Path]:
    from controller.report.figures import figure_files
    from controller.report.report_data import read_report_data
    from processing.files.atomic import make_folder, replace_file
    from processing.files.held_folder import held

    files = figure_files(read_report_data(folder))
    into = folder / FIGURES
    try:
        with held(folder):
            make_folder(into)
            for name, content in files.items():
                with replace_file(into / name, durable=False) as partial:
                    partial.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{into}: cannot be written: {error.strerror}") from None
    return [into / name for name in files]
