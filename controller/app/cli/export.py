"""`dualtilt export`: results in the formats of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from controller.common.errors import UsageError, path_error_text
from controller.common.exit_codes import ExitCode
from processing.export.targets import ExportTarget

if TYPE_CHECKING:
    from processing.export.about import About
    from processing.results import Count

FOLDER_HELP = "folder of a finished session, or --out folder of dualtilt process"
TO_HELP = f"one or more of: {', '.join(ExportTarget)} (docs/export.md)"
ABOUT_HELP = "TOML file with title, authors and sample, for nexus and empiar (docs/export.md)"
VOLUME_HELP = "volume and particles to export (default: fused; A where B was not recorded)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help=FOLDER_HELP)
    add(
        "--to",
        nargs="+",
        required=True,
        choices=[target.value for target in ExportTarget],
        metavar="FORMAT",
        help=TO_HELP,
    )
    add("--out", type=Path, metavar="OUT", help="folder to write to (default: DIR/export)")
    add("--about", type=Path, metavar="FILE", help=ABOUT_HELP)
    add("--volume", choices=("fused", "A"), help=VOLUME_HELP)
    add("--again", action="store_true", help="replace files of an earlier export")


def run(args: argparse.Namespace) -> int:
    """Write the results in each format; print what was written and the doubts of the count."""
    from controller.app.cli.terminal_progress import shown_progress
    from controller.session.grid_folder import refuse_grid
    from processing.errors import ProcessingError
    from processing.export.checklist import missing
    from processing.export.export import export
    from processing.export.finished import NOTHING_GIVEN, read_finished
    from processing.files.held_folder import held

    refuse_grid(args.folder)
    out = args.out or args.folder / "export"
    targets = [ExportTarget(name) for name in args.to]
    try:
        about = read_about(args.about) if args.about else NOTHING_GIVEN
        finished = read_finished(args.folder, about, args.volume)
        with held(args.folder), shown_progress() as progress:
            paths = export(finished, targets, out, replace=args.again, progress=progress)
    except (ProcessingError, OSError) as error:
        raise UsageError(path_error_text(error, out)) from error
    for path in paths:
        print(path.resolve())
    for line in missing(finished, targets):
        print(f"missing: {line}")
    return _print_doubts(finished.count)


def read_about(path: Path) -> About:
    """Read the facts that no file of a session holds from a TOML file.

    Raises
    ------
    UsageError
        The file is missing or no TOML, or a value in it is wrong or unknown; names them all.
    """
    from pydantic import ValidationError

    from controller.common.settings_file import describe_errors, validate_toml
    from controller.common.toml_file import read_toml
    from processing.export.about import About

    content = read_toml(path)
    try:
        return validate_toml(content, About)
    except ValidationError as error:
        raise UsageError(f"{path}: {'; '.join(describe_errors(error, About))}") from None


def _print_doubts(count: Count) -> ExitCode:
    """Print why the exported particles are not to be trusted, if so; return the exit code."""
    from processing.results import Trust

    verdict = count.verdict
    if verdict is not None and verdict.state is not Trust.TRUSTED:
        for reason in verdict.reasons:
            print(f"{verdict.state}: {reason}")
    return ExitCode.SAFETY if count.is_refused else ExitCode.OK
