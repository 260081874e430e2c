"""`dualtilt process`: offline processing of any single or dual tilt series."""

from __future__ import annotations

import argparse
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from controller.app.cli.output_folder import failed_write_named, removed_if_empty
from controller.app.cli.print_inputs import print_inputs, print_series
from controller.app.cli.print_results import print_counts, print_files, print_verdict
from controller.app.cli.processing_arguments import add_processing_arguments, chosen_settings
from controller.app.cli.read_series import read_series, unusable_input_refused
from controller.app.cli.reading_arguments import add_reading_arguments, reading_options
from controller.app.recorded_series import (
    DroppedTilts,
    dropped_tilts,
    free_results_folder,
    recorded_series,
    recorded_settings,
)
from controller.common.errors import (
    ProcessingFailedError,
    SafetyStopError,
    UsageError,
    path_error_text,
    quoted,
)

if TYPE_CHECKING:
    from processing.files.examine import ReadingOptions
    from processing.pipeline.made_with import MadeWith
    from processing.pipeline.series_process import SeriesProcess
    from processing.pipeline.settings import ProcessSettings
    from processing.results import SeriesName, Summary

STACK_HELP = (
    "tilt series A: a stack of any format, or a folder of images (docs/files.md); or the folder of "
    "a session, of which A and B are processed again"
)
OUT_HELP = "results go to DIR/processed (a session: its folder's processed-2, or the next number)"
DROP_HELP = (
    "tilts to leave out, counted from 1, for example A:12,13: the tilts A#12 and A#13, of a stack "
    "alone its 12th and 13th image (sections 11 and 12); may be given again for B"
)
REGION_NAMES = ("X", "Y", "R")
REGION_HELP = (
    "object to be counted: column, row and radius in pixels of the least tilted image, the tilt "
    "axis along y; give it once for each series (default: the object is found)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("series_a", type=Path, metavar="A.mrc|SESSION", help=STACK_HELP)
    add("series_b", type=Path, nargs="?", metavar="B.mrc", help="tilt series B, after the flip")
    add("--out", type=Path, metavar="DIR", help=OUT_HELP)
    add("--dry-run", action="store_true", help="only show what is understood of the files")
    add("--region", type=float, nargs=3, action="append", metavar=REGION_NAMES, help=REGION_HELP)
    add("--drop", type=_tilts, action="append", default=[], metavar="A:N,N", help=DROP_HELP)
    add_reading_arguments(parser)
    add_processing_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Process the series, write the results, print counts, paths and verdict."""
    from controller.session.grid_folder import refuse_grid
    from processing.pipeline.series_process import started_early

    refuse_grid(args.series_a)
    paths, session = _paths(args)
    _require_files(paths)
    options = reading_options(args, len(paths))
    if args.dry_run:
        return _show_inputs(args, paths, session, options)
    out = _results_folder(args.out, session)
    settings = _settings(args, session)
    with started_early(len(paths), settings.device) as process_b:
        _require_unused(out)
        out, summary = _processed(args, paths, session, options, out, settings, process_b)
    from controller.report.write import write_report

    print_counts(summary)
    print_files(out, summary)
    try:
        print(write_report(out).resolve())
    except UsageError as error:
        raise ProcessingFailedError(
            f"{error}; the results are complete: correct this, then: dualtilt report {quoted(out)}"
        ) from error
    return print_verdict(summary)


def _show_inputs(
    args: argparse.Namespace,
    paths: list[Path],
    session: Path | None,
    options: list[ReadingOptions],
) -> int:
    """Print what is understood of the files; refuse what a run would refuse before it begins."""
    exit_code = print_series(paths, options)
    with unusable_input_refused(paths[0]):
        read_series(paths, options, session, _settings(args, session), args.region, args.drop)
    return exit_code


def _processed(
    args: argparse.Namespace,
    paths: list[Path],
    session: Path | None,
    options: list[ReadingOptions],
    out: Path,
    settings: ProcessSettings,
    process_b: SeriesProcess | None,
) -> tuple[Path, Summary]:
    """Read and process the series; return the folder of the results and their summary."""
    from controller.app.cli.terminal_progress import shown_progress
    from processing.batch.results_lock import only_writer
    from processing.device import device
    from processing.errors import ProcessingError, RegistrationRefusedError
    from processing.files.held_folder import held
    from processing.pipeline.process_all import process_all

    try:
        with unusable_input_refused(out):
            device(settings.device)
            series = read_series(paths, options, session, settings, args.region, args.drop)
            for one in series:
                print_inputs(one)
            inputs = _made_with(session, settings, args)
            out = _made(out, session if args.out is None else None)
            # Matplotlib takes a second to load
            Thread(target=import_module, args=("controller.report.write",)).start()
            with removed_if_empty(out), only_writer(out), held(out), shown_progress() as progress:
                _require_unused(out)  # another process may have been faster
                with failed_write_named(out):
                    summary = process_all(
                        series, out, settings, inputs=inputs, process_b=process_b, progress=progress
                    )
                return out, summary
    except RegistrationRefusedError as error:
        raise SafetyStopError(str(error)) from error
    except ProcessingError as error:
        raise ProcessingFailedError(str(error)) from error


def _tilts(text: str) -> DroppedTilts:
    try:
        return dropped_tilts(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} names no tilts; write for example A:12,13"
        ) from None


def _paths(args: argparse.Namespace) -> tuple[list[Path], Path | None]:
    """Return the files of the series, and the session's folder if the user gave one."""
    if args.series_b is None and (found := recorded_series(args.series_a)):
        return list(found.values()), args.series_a
    return [path for path in (args.series_a, args.series_b) if path is not None], None


def _results_folder(out: Path | None, session: Path | None) -> Path:
    if out is not None:
        return out
    if session is None:
        raise UsageError("no folder for the results; give one with --out DIR")
    return free_results_folder(session)


def _made(out: Path, session: Path | None) -> Path:
    """Make the folder of the results; of a session's two processes at once, each gets its own."""
    try:
        if session is None:
            out.mkdir(parents=True, exist_ok=True)
            return out
        while True:
            out = free_results_folder(session)
            with suppress(FileExistsError):
                out.mkdir()
                return out
    except OSError as error:
        raise UsageError(
            f"{path_error_text(error, out)}; choose another place with --out DIR"
        ) from error


def _made_with(
    session: Path | None, settings: ProcessSettings, args: argparse.Namespace
) -> dict[SeriesName, MadeWith]:
    """Return what the results of a session depend on, to be kept with them."""
    from processing.pipeline.made_with import GivenFacts, made_with

    if session is None:
        return {}
    given = GivenFacts(
        pixel_nm=args.pixel_nm, tilt_axis_deg=args.tilt_axis_deg, tilt_sense=args.tilt_sense
    )
    names: tuple[SeriesName, ...] = ("A", "B")
    return {name: made_with(session, name, settings, given) for name in names}


def _require_unused(out: Path) -> None:
    """Refuse a folder that holds results, complete or not: they may be hours of work."""
    from processing.pipeline.results_folder import PROCESSED, SUMMARY

    folder = out / PROCESSED
    if (out / SUMMARY).exists():
        raise UsageError(f"{out}: is the subfolder of other results; choose a new --out folder")
    if folder.is_symlink():
        raise UsageError(f"{folder}: is a link; remove it, or choose a new --out folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: is a file, not a folder; choose a new --out folder")
    names = sorted(path.name for path in folder.iterdir())
    if names:
        kind = "results" if SUMMARY in names else "files, maybe of an incomplete run"
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UsageError(
            f"{folder}: already holds {kind} ({', '.join(names[:3])}{more}); "
            "choose a new --out folder"
        )


def _settings(args: argparse.Namespace, session: Path | None) -> ProcessSettings:
    """Return the settings of the session, if there is one, changed by the options."""
    from processing.pipeline.settings import ProcessSettings

    recorded = {} if session is None else recorded_settings(session)
    return ProcessSettings(**{**recorded, **chosen_settings(args)})


def _require_files(paths: list[Path]) -> None:
    """Refuse a missing file, a session that has no images yet, and one file for both series."""
    from controller.session.folder import SessionFolder

    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
    for path in paths:
        if SessionFolder(path).journal.exists():
            raise UsageError(
                f"{path}: this session has no images yet; try again once it has recorded a series"
                if not recorded_series(path)
                else f"{path}: is a session; give it alone, or the files of two series"
            )
    if len(paths) == 2 and paths[0].samefile(paths[1]):
        raise UsageError(
            f"{paths[1]}: A and B are the same file; name the flipped series, or leave B out"
        )
