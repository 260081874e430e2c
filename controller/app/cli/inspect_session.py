"""`dualtilt inspect SESSION`: files, alignment and counts of a session that is over."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.cli.print_inputs import (
    described,
    print_indented,
    print_one_series,
    require_none_refused,
)
from controller.app.cli.print_results import interval_text, print_counts, print_verdict
from controller.app.cli.reading_arguments import reading_options
from controller.app.cli.terminal_pictures import draws_pixels, print_figures
from controller.app.compare_results import made_again
from controller.app.inspected_results import (
    MISFIT_PX,
    Results,
    SeriesOutcome,
    read_results,
    session_of,
    tilt_names,
)
from controller.app.recorded_series import recorded_series
from controller.common.errors import UsageError, path_error_text, quoted
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from processing.results import SeriesName

PROCESSED, SUMMARY = "processed", "summary.json"
"""Subfolder of the results, and the last of its files."""
SESSION_FILES = ("protocol.toml", "journal.jsonl", "events.jsonl", PROCESSED)
"""A folder with one of them is that of a session or of results."""


def session_folder(given: Path) -> Path:
    """Return the folder of a session whose subfolder of results was given, else the given one."""
    place = given.absolute()
    return place.parent if place.name == PROCESSED and (place / SUMMARY).exists() else given


def is_session(folder: Path) -> bool:
    """Return True for the folder of a session, of its series A and B, or of results."""
    if not folder.is_dir():
        return False
    if any(os.path.lexists(folder / name) for name in SESSION_FILES):
        return True
    return bool(recorded_series(folder))


def inspect_session(folder: Path, args: argparse.Namespace) -> int:
    """Print files and results of a folder, write pictures if asked for; change nothing in it.

    Raises
    ------
    UsageError
        A file is damaged or a link, or a series cannot be processed.
    """
    from processing.errors import ProcessingError
    from processing.files.held_folder import held

    try:
        with held(folder):
            files = recorded_series(folder)
            require_no_links(files.values())
            results = read_results(folder)
            refused = _print_files(args, files)
            if results is None:
                print(_no_results(folder, files))
            else:
                _print_results(folder, files, results)
            for again in made_again(folder):
                print(f"results made again: dualtilt inspect {quoted(again)}")
            _show_pictures(args, folder, files, results)
    except (ProcessingError, OSError) as error:
        raise UsageError(path_error_text(error, folder)) from error
    require_none_refused(refused)
    return ExitCode.OK


def require_no_links(files: Iterable[Path]) -> None:
    """Refuse files of a session that are links.

    Raises
    ------
    UsageError
        There is one.
    """
    for path in files:
        if path.is_symlink():
            raise UsageError(f"{path}: is a link, and no link is followed here; remove it")


def _no_results(folder: Path, files: Mapping[SeriesName, Path]) -> str:
    if not files:
        return "no series A and no results yet"
    return f"no results yet; make them with: dualtilt process {quoted(folder)}"


def _print_files(args: argparse.Namespace, files: Mapping[SeriesName, Path]) -> list[Path]:
    """Print what is understood of the files of the series; return those that are refused."""
    refused = []
    options = reading_options(args, len(files))
    for (name, path), chosen in zip(files.items(), options, strict=True):
        print(f"series {name}: {path}")
        if not print_one_series(path, chosen):
            refused.append(path)
    return refused


def _print_results(folder: Path, files: Mapping[SeriesName, Path], results: Results) -> None:
    for name, outcome in results.series.items():
        inputs = outcome.summary.inputs
        if not files and inputs is not None:
            print(f"series {name}: {inputs.file}")
            print_indented([*described(inputs), ""])
        print(f"series {name}, processed")
        print_indented([*series_lines(name, outcome, tilt_names(folder, name, outcome.images)), ""])
    if results.summary is None:
        print("no count of both series: processing has not ended")
    else:
        print_counts(results.summary)
        print_verdict(results.summary)
    misfits = [
        tilt_names(folder, name, outcome.images)[section]
        for name, outcome in results.series.items()
        for section in outcome.misfits
    ]
    print(_about_misfits(results, misfits))
    print(f"to process again without some tilts: {_again(folder, results, misfits)}")


def series_lines(name: SeriesName, outcome: SeriesOutcome, names: Sequence[str]) -> list[str]:
    """Return alignment and count of a series, one line for each fact.

    Parameters
    ----------
    names
        Name of the tilt of each section, for people.
    """
    summary, count = outcome.summary, outcome.count
    lines = [
        f"images      {summary.tilts} of {len(names)} used",
        *_left_out(outcome, names),
        *_alignment(outcome, names),
        f"tilt axis   {summary.tilt_axis_deg:+.2f} degrees from y, as aligned",
    ]
    if count is not None:
        lines.append(f"count       {count.n}, {interval_text(count)}")
        if count.verdict is not None:
            lines += [
                f"verdict     {count.verdict.state}",
                *(f"            {reason}" for reason in count.verdict.reasons),
            ]
    return lines


def _left_out(outcome: SeriesOutcome, names: Sequence[str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    images = outcome.summary.images
    for section in outcome.summary.excluded:
        reason = str(images[section].left_out) if images else "for the reason in the warnings"
        # a tilt that was recorded again has several frames
        several = names.count(names[section]) > 1
        name = f"{names[section]} (section {section})" if several else names[section]
        by_reason.setdefault(reason, []).append(name)
    return [f"left out    {', '.join(tilts)}: {reason}" for reason, tilts in by_reason.items()]


def _alignment(outcome: SeriesOutcome, names: Sequence[str]) -> list[str]:
    rms_px = f"rms {outcome.summary.align_rms_px:.3f} px"
    used = outcome.used_sections
    images = outcome.summary.images
    if not images or not used:
        return [f"residuals   {rms_px}; of single tilts they are not stored: process again"]
    lengths_px = {section: math.hypot(*images[section].shift_px) for section in used}
    largest = max(used, key=lambda section: lengths_px[section])
    rms_shift_px = math.sqrt(sum(length**2 for length in lengths_px.values()) / len(used))
    worst = ", ".join(
        f"{names[section]} {images[section].residual_px:.3f}" for section in outcome.worst_sections
    )
    return [
        f"shifts      largest {lengths_px[largest]:.2f} px ({names[largest]}), "
        f"rms {rms_shift_px:.2f} px",
        f"residuals   {rms_px}; largest {worst} px",
    ]


def _about_misfits(results: Results, misfits: Sequence[str]) -> str:
    """Say which tilts fit badly, by their residuals."""
    if misfits:
        return f"tilts that fit badly, by more than {MISFIT_PX:g} px: {', '.join(misfits)}"
    if any(outcome.worst_sections for outcome in results.series.values()):
        return f"no tilt fits badly: all residuals are at most {MISFIT_PX:g} px"
    return "no residuals of single tilts are stored"


def _again(folder: Path, results: Results, misfits: Sequence[str]) -> str:
    """Return the command that processes the series again without its misfits; N for a number."""
    drop = " ".join(f"--drop {tilts}" for tilts in _drops(results, misfits))
    session = session_of(folder)
    if session is not None:
        return f"dualtilt process {quoted(session)} {drop}"
    inputs = [one.summary.inputs for one in results.series.values()]
    stacks = " ".join(quoted(one.file) for one in inputs if one is not None)
    return f"dualtilt process {stacks or 'A.mrc B.mrc'} --out NEW {drop}"


def _drops(results: Results, misfits: Sequence[str]) -> Iterator[str]:
    """Give the values of `--drop`, one for each series: A:12,13."""
    if not misfits:
        yield f"{next(iter(results.series))}:N"
    for name in results.series:
        numbers = [tilt.partition("#")[2] for tilt in misfits if tilt.startswith(name)]
        if numbers:
            yield f"{name}:{','.join(numbers)}"


def _show_pictures(
    args: argparse.Namespace,
    folder: Path,
    files: Mapping[SeriesName, Path],
    results: Results | None,
) -> None:
    """Write the pictures as files, draw them where the terminal can, or say how to see them."""
    from controller.app.inspect_pictures import session_pictures, write_pictures

    chosen = dict(zip(files, reading_options(args, len(files)), strict=True))
    if args.pictures is not None:
        for path in write_pictures(args.pictures, folder, files, chosen, results):
            print(path.resolve())
    elif draws_pixels():
        print_figures(session_pictures(folder, files, chosen, results))
    else:
        print(f"pictures, in a browser: dualtilt inspect {quoted(folder)} --browser")
