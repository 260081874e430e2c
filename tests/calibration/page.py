"""The tables of docs/calibration.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from processing.results import Trust
from tests.calibration.measure import TENTHS, Row

PAGE = Path(__file__).parents[2] / "docs" / "calibration.md"
INTRODUCTION = """# Calibration

Written by `make calibration`. Assemblies of 6.3 nm particles, perfect crystals (fcc), crystals with
stacking faults, vacancies and a bend (faulted), and disordered ones, are simulated in tilt steps of
2, 3, 4 and 6 degrees over -70 to +70, and processed from pixel size and angles alone. A particle is
real if a true one lies within a quarter of a diameter after one rigid fit. Each session gives three
counts: A alone, B alone, and both.
`python -m tests.calibration --size 165 --jobs N` adds the paper's size.

Confidence is calibrated if, of the particles with confidence c, a share c is real. `summary.json`
calls an interval a 95 % interval only where the count is trusted;
[why](decisions/0021-confidence-knows-the-places.md). Few particles of these counts are in
doubt; the last part of this page has more of them.
"""
LEFT_OUT = "## Specimens left out of the fit"
"""Title of the last part of the page, which `tests.calibration.fit` writes."""
FEWEST = 100
"""Fewest particles of a tenth whose share is compared with the confidence."""
COUNTS = {"one series": ("A", "B"), "two series": ("A and B",)}


def page(rows: Sequence[Row]) -> str:
    """Return the page of all rows measured."""
    sizes = ", ".join(f"{size_nm:g}" for size_nm in sorted({row.size_nm for row in rows}))
    measured = f"Measured: {len(rows)} counts of assemblies of {sizes} nm."
    parts = [INTRODUCTION, measured, "", "## Confidence against truth", ""]
    for title, names in COUNTS.items():
        parts += _tenths(title, [row for row in rows if row.series in names])
    parts += ["## Counts", "", *_verdicts(rows), ""]
    parts += [
        "| case | series | seed | truth | found | interval | F1 | verdict | first reason |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(row) for row in sorted(rows, key=_place)),
    ]
    return "\n".join(parts) + "\n"


def left_out_of(page: str) -> str:
    """Return the part of a page about specimens left out of the fit; "" without one."""
    return "".join(page.partition(LEFT_OUT)[1:])


def with_left_out(page: str, part: str) -> str:
    """Return a page with such a part at its end, in place of the one before."""
    return f"{page.partition(LEFT_OUT)[0].rstrip()}\n\n{part}".rstrip() + "\n"


def line(row: Row) -> str:
    """Return one line for the terminal."""
    mark = "!" if row.verdict is Trust.TRUSTED and not row.holds else " "
    return (
        f"{mark} {row.case}, seed {row.seed}, {row.series}: {row.found} "
        f"({row.n_low} to {row.n_high}) of {row.truth}, F1 {row.f1:.4f}, {row.verdict} {row.reason}"
    )


def _place(row: Row) -> tuple[float, str, float, str, int]:
    return row.size_nm, row.case.split(",")[0], row.step_deg, row.series, row.seed


def _tenths(title: str, rows: Sequence[Row]) -> Iterable[str]:
    number, total, real = ([0.0] * TENTHS for _ in range(3))
    for row in rows:
        for tenth, (particles, confidences, matched) in enumerate(row.by_tenth):
            number[tenth] += particles
            total[tenth] += confidences
            real[tenth] += matched
    yield from (
        f"### {title[0].upper()}{title[1:]}",
        "",
        "| confidence | particles | mean confidence | share that is real | difference |",
        "|---|---|---|---|---|",
    )
    for tenth in range(TENTHS):
        name = f"{tenth / TENTHS:.1f} to {(tenth + 1) / TENTHS:.1f}"
        if not number[tenth]:
            yield f"| {name} | 0 | – | – | – |"
            continue
        mean, share = total[tenth] / number[tenth], real[tenth] / number[tenth]
        few = " (few)" if number[tenth] < FEWEST else ""
        yield (
            f"| {name} | {number[tenth]:.0f} | {mean:.3f} | {share:.3f} "
            f"| {100 * (share - mean):+.1f} points{few} |"
        )
    yield ""


def _verdicts(rows: Sequence[Row]) -> Iterable[str]:
    yield from (
        "| verdict | counts | interval holds the truth | lowest F1 |",
        "|---|---|---|---|",
    )
    for verdict, group in groupby(sorted(rows, key=lambda row: row.verdict), lambda r: r.verdict):
        some = list(group)
        holds = "–" if verdict is Trust.REFUSED else sum(row.holds for row in some)
        yield f"| {verdict} | {len(some)} | {holds} | {min(row.f1 for row in some):.4f} |"


def _row(row: Row) -> str:
    interval = f"{row.n_low} to {row.n_high}" + ("" if row.holds else " (**misses**)")
    if row.verdict is Trust.REFUSED:
        interval = "–"
    cells = (
        row.case,
        row.series,
        str(row.seed),
        str(row.truth),
        str(row.found),
        interval,
        f"{row.f1:.4f}",
        str(row.verdict),
        row.reason.replace("|", "/"),
    )
    return f"| {' | '.join(cells)} |"
