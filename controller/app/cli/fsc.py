"""`dualtilt fsc`: detail that the volumes show, by depth and direction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.errors import ProcessingFailedError, UsageError, path_error_text
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.table import Table

    from processing.resolution.results import PartResolution, Resolution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="a session, or the --out folder of `process`"
    )


def run(args: argparse.Namespace) -> int:
    """Measure, write the figures and the report again, and print the table and the paths."""
    from rich.console import Console

    from controller.app.cli.terminal_progress import shown_progress
    from controller.report.write import write_report
    from processing.batch.results_lock import results_lock
    from processing.errors import InputFileError, ProcessingError, ResultsInUseError
    from processing.files.held_folder import held
    from processing.pipeline.results_folder import PROCESSED, RESOLUTION, RESOLUTION_CURVES
    from processing.pipeline.settings import ProcessSettings
    from processing.resolution.folder import measure_folder

    try:
        _require_results(args.folder)
        with results_lock(args.folder), held(args.folder), shown_progress() as progress:
            found = measure_folder(args.folder, ProcessSettings(), progress=progress)
    except (InputFileError, ResultsInUseError, OSError) as error:
        raise UsageError(path_error_text(error, args.folder)) from error
    except ProcessingError as error:
        raise ProcessingFailedError(str(error)) from error
    Console().print(_table(found))
    for name in (RESOLUTION, RESOLUTION_CURVES):
        print((args.folder / PROCESSED / name).resolve())
    print(write_report(args.folder).resolve())
    return ExitCode.OK


def _require_results(folder: Path) -> None:
    """Refuse a folder without results, in which the lock would make one."""
    from processing.pipeline.results_folder import read_summary

    read_summary(folder)


def _table(found: Resolution) -> Table:
    from rich.table import Table

    volumes = list(dict.fromkeys(part.volume for part in found.parts))
    table = Table(title="resolution, nm (correlation of half series 0.143)")
    table.add_column("part")
    for volume in volumes:
        table.add_column(volume.value, justify="right")
    rows: dict[str, list[str]] = {}
    for part in found.parts:
        rows.setdefault(_name(part), []).append(_value(part, found.voxel_limit_nm))
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _name(part: PartResolution) -> str:
    from controller.report.resolution_section import DIRECTIONS

    if part.depth_nm is None:
        return DIRECTIONS[part.sector]
    return f"at z = {part.depth_nm:+.0f} nm"


def _value(part: PartResolution, limit_nm: float) -> str:
    return f"< {limit_nm:.2g}" if part.resolution_nm is None else f"{part.resolution_nm:.1f}"
