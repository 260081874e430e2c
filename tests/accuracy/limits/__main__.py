"""`python -m tests.accuracy.limits [--size NM ...] [--step DEG ...] [--dose D ...] [--seeds N]`.

Simulates and processes pairs of tilt series in coarse steps and with low doses. Compares counts,
intervals and confidences with the truth: of A alone, of B alone and of both. With `--controls` the
same counts are made with true poses, true candidates, and both. Results are stored one a line in
limits.jsonl in the working folder and are not measured again: it can be stopped at any time. The
tables and the figure of docs/limits.md are written from all of them; `--seeds 0` does only that.
The exit code is 1 if a trusted count is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from processing.results import Trust
from simulator.settings import Packing
from tests.accuracy.limits.cases import (
    DOSES,
    FIRST_SEED,
    PACKINGS,
    SIZES_NM,
    STEPS_DEG,
    Case,
    cases,
)
from tests.accuracy.limits.figure import figure
from tests.accuracy.limits.measure import Given, Row, measure
from tests.accuracy.limits.page import is_trusted_and_wrong, named, with_tables
from tests.calibration.measure import silence_warnings

RESULTS = Path("limits.jsonl")
DOCS = Path(__file__).parents[3] / "docs"
PAGE, FIGURE = DOCS / "limits.md", DOCS / "limits.svg"


def main(arguments: list[str]) -> int:
    """Measure the cases that have no result yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy.limits", description=__doc__)
    parser.add_argument("--size", type=float, nargs="+", default=SIZES_NM, metavar="NM")
    parser.add_argument("--step", type=float, nargs="+", default=STEPS_DEG, metavar="DEG")
    parser.add_argument("--dose", nargs="+", default=tuple(DOSES), choices=tuple(DOSES))
    parser.add_argument("--packing", type=Packing, nargs="+", default=PACKINGS)
    parser.add_argument("--pixel", type=float, metavar="NM", help="pixel size; default by size")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="sessions per case")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, metavar="N")
    parser.add_argument("--controls", action="store_true", help="also with parts of the truth")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file to append to")
    chosen = parser.parse_args(arguments)
    silence_warnings()
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    wanted = cases(chosen.size, chosen.step, chosen.dose, chosen.packing, seeds, chosen.pixel)
    measure_all(wanted, chosen.results, controls=chosen.controls)
    rows = stored_rows(chosen.results)
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    FIGURE.write_text(figure(rows), encoding="utf-8")
    return int(any(map(is_trusted_and_wrong, rows)))


def measure_all(wanted: Iterable[Case], results: Path, *, controls: bool) -> None:
    """Measure the cases without a result; store and print each result at once."""
    stored = stored_rows(results)
    done = {row.key for row in stored if not controls or row.given == Given.BOTH}
    for case in wanted:
        if case.key in done:
            continue
        rows = measure(case, controls=controls)
        with results.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
        for row in rows:
            print(line(row), flush=True)


def stored_rows(results: Path) -> list[Row]:
    """Read all results measured so far; of a count that was made again, the last."""
    if not results.exists():
        return []
    rows = [_row(json.loads(text)) for text in results.read_text(encoding="utf-8").splitlines()]
    return list({(*row.key, row.given, row.series): row for row in rows}.values())


def line(row: Row) -> str:
    """Return one line for the terminal."""
    mark = "!" if is_trusted_and_wrong(row) else " "
    said = f"{row.verdict} {'; '.join(row.reasons)[:90]}"
    return f"{mark} {named(row)}, given {row.given}: {said} [{row.cpu_s:g} s]"


def _row(stored: dict[str, object]) -> Row:
    return Row(**{**stored, "verdict": Trust(stored["verdict"])})  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
