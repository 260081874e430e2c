"""`python -m tests.ending_early [--only WORD ...] [--seeds N] [--jobs N]`: series that end early.

Simulates sessions, ends each series where its live counts say that it has enough tilts, and
compares its count with that of the complete series. Results are stored one a line in
measured.jsonl, beside this file, and are not measured again. The table in
docs/ending-early.md is written from all of them. The exit code is 1 if a series was ended that all
tilts would have changed by more than its interval.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tests.ending_early.cases import CASES, FIRST_SEED, Case
from tests.ending_early.measure import Row, measure, silence_warnings
from tests.ending_early.page import line, with_table

RESULTS = Path(__file__).with_name("measured.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "ending-early.md"


def main(arguments: list[str]) -> int:
    """Measure the cases that have no result yet; write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.ending_early", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="part of a case's name"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="sessions per case")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at a time")
    chosen = parser.parse_args(arguments)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    cases = [case for case in CASES if all(word in case.name for word in chosen.only)]
    measure_all([(case, seed) for seed in seeds for case in cases], chosen.jobs)
    rows = stored_results()
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    return int(any(not row.held for row in rows))


def stored_results() -> list[Row]:
    """Read all results measured so far."""
    if not RESULTS.exists():
        return []
    return [_row(json.loads(text)) for text in RESULTS.read_text(encoding="utf-8").splitlines()]


def measure_all(wanted: Sequence[tuple[Case, int]], jobs: int) -> None:
    """Measure cases without a result in processes; store and print each result at once."""
    done = {(row.case, row.seed) for row in stored_results()}
    new = [(case, seed) for case, seed in wanted if (case.name, seed) not in done]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=silence_warnings) as pool:
        running = [pool.submit(measure, case, seed) for case, seed in new]
        for each in as_completed(running):
            rows = each.result()
            with RESULTS.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
            for row in rows:
                print(line(row), flush=True)


def _row(stored: dict[str, object]) -> Row:
    lists = ("ended", "complete", "live", "history")
    as_tuples = {name: _as_tuple(stored[name]) for name in lists}
    return Row(**{**stored, **as_tuples})  # type: ignore[arg-type]


def _as_tuple(value: object) -> object:
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
