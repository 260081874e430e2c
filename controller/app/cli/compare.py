"""`dualtilt compare`: results of the same object side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from controller.app.compare_results import (
    DIFFERENCE_COLUMNS,
    Comparison,
    Result,
    compare,
    difference_rows,
    folders_to_compare,
    other_settings,
    read_result,
    shortest_names,
)
from controller.common.errors import UsageError
from controller.common.exit_codes import ExitCode

if TYPE_CHECKING:
    from processing.results import Count

FOLDERS_HELP = (
    "session, or --out folder of `process`; of one session alone, its results that were made again "
    "are compared with the first"
)
OUT_HELP = "also write comparison.html and differences.csv to DIR"
PAGE, DIFFERENCES = "comparison.html", "differences.csv"
MARK_BYTES = 4096
"""Bytes at the beginning of a file that tell whether a comparison wrote it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR", help=FOLDERS_HELP)
    parser.add_argument("--out", type=Path, metavar="DIR", help=OUT_HELP)


def run(args: argparse.Namespace) -> int:
    """Compare the results with the first, print the table, and write it where asked."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from controller.report.comparison import comparison_page
    from controller.session.grid_folder import refuse_grid

    for folder in args.folders:
        refuse_grid(folder)
    folders = folders_to_compare(args.folders)
    results = [read_result(*each) for each in zip(folders, shortest_names(folders), strict=True)]
    if args.out is not None:
        _require_own(args.out)
    compared = compare(results)
    head = ["", *(result.label for result in results)]
    columns = [_row_names(results[0]), *_columns(results, compared)]
    rows = list(zip(*columns, strict=True))
    table = Table(*map(escape, head))
    for row in rows:
        table.add_row(*map(escape, row))
    notes = _notes(results, compared)
    Console().print(table)
    for line in notes:
        print(line)
    if args.out is not None:
        _write(args.out, comparison_page(head, rows, notes), results, compared)
    return ExitCode.OK


def _row_names(first: Result) -> tuple[str, ...]:
    return (
        "images, A + B",
        "A",
        "B",
        "fused",
        "verdict",
        "diameter, nm",
        f"also in {first.label}",
        f"only in {first.label}",
        "only here",
        "rms, nm",
    )


def _columns(results: Sequence[Result], compared: Sequence[Comparison]) -> list[tuple[str, ...]]:
    columns = [(*_own(results[0]), "", "", "", "")]
    for one in compared:
        found = one.difference
        numbers: tuple[str, ...] = ("another object", "", "", "")
        if found is not None:
            numbers = (
                str(found.both),
                str(len(found.only_first)),
                str(len(found.only_second)),
                f"{found.rms_nm:.2f}",
            )
        columns.append((*_own(one.result), *numbers))
    return columns


def _own(result: Result) -> tuple[str, ...]:
    counts, verdict = result.summary.counts, result.final.verdict
    images = (str(one.tilts) for one in result.summary.series.values())
    return (
        " + ".join(images),
        *(_count(count) for count in (counts.A, counts.B, counts.fused)),
        "" if verdict is None else str(verdict.state),
        f"{result.summary.diameter_nm.value:.2f}",
    )


def _count(count: Count | None) -> str:
    """Return a count with its interval, or with its state if it is not trusted."""
    from processing.results import Trust

    if count is None:
        return ""
    if count.verdict is not None and count.verdict.state is not Trust.TRUSTED:
        return f"{count.n} {count.verdict.state}"
    return f"{count.n} ({count.n_low}-{count.n_high})"


def _notes(results: Sequence[Result], compared: Sequence[Comparison]) -> list[str]:
    """Return folder, reasons of the verdict and other settings of each column; explain the rows."""
    lines = []
    for result in results:
        lines.append(f"{result.label}: {result.name}")
        if (verdict := result.final.verdict) is not None:
            lines += [f"   {verdict.state}: {reason}" for reason in verdict.reasons]
        lines += [f"   other setting: {text}" for text in other_settings(results[0], result)]
    lines += [
        f"{one.result.label}: {one.difference.both} of its {len(one.result.table)} particles lie "
        f"on particles of {results[0].label}, about as many as in other orientations: these show "
        "different objects"
        for one in compared
        if one.difference is not None and one.difference.by_chance
    ]
    lines += [
        f"{one.result.label}: another orientation fits {results[0].label} equally well; which "
        "particles differ is not certain"
        for one in compared
        if one.difference is not None and one.difference.ambiguous
    ]
    if any(one.difference is not None for one in compared):
        lines.append(
            f"also in {results[0].label}: within a quarter of a diameter of a particle there; "
            "rms: distance of the two places"
        )
    return lines


def _write(
    out: Path,
    page: str,
    results: Sequence[Result],
    compared: Sequence[Comparison],
) -> None:
    from controller.common.atomic import replace_text

    lines = [DIFFERENCE_COLUMNS, *difference_rows(results[0], compared)]
    table = "".join(",".join(_quoted(cell) for cell in line) + "\n" for line in lines)
    files = {out / PAGE: page, out / DIFFERENCES: table}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            replace_text(path, content)
            print(path.resolve())
    except OSError as error:
        raise UsageError(f"{out}: cannot be written: {error.strerror}") from None


def _require_own(out: Path) -> None:
    """Refuse to replace files other than those of an earlier comparison."""
    from controller.report.comparison import TITLE

    for name, mark in ((PAGE, TITLE), (DIFFERENCES, ",".join(DIFFERENCE_COLUMNS))):
        path = out / name
        if path.is_file() and mark not in _beginning(path):
            raise UsageError(
                f"{path}: not of a comparison; move it away, or choose another --out folder"
            )


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MARK_BYTES).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), chr(34) * 2)}"' if set(cell) & set(',"\n') else cell
