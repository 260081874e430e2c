"""`python -m tests.odd_specimens [--only NAME] [--jobs N] [--size NM]`: faulty series, true counts.

The newest result of each row is a line of measured.jsonl; it is not measured again without
`--again`. docs/odd-specimens.md is written from all results. The exit code is 1 if a
row of this call misses a goal.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from simulator.settings import Packing
from tests.odd_specimens.cases import CASES, LARGE_PIXEL_NM, USUAL, Conditions
from tests.odd_specimens.measure import Outcome, Table, measure, misses
from tests.odd_specimens.page import line, page
from tests.odd_specimens.scene import Size

RESULTS = Path(__file__).with_name("measured.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "odd-specimens.md"
CASE = {case.name: case for case in CASES}


def main(arguments: list[str]) -> int:
    """Measure the rows that were asked for and have no result yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.odd_specimens", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="part of a row's name"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--size", type=float, default=USUAL.assembly_nm, metavar="NM", help="assembly's diameter"
    )
    parser.add_argument("--diameter-nm", type=float, help="given to the processing")
    parser.add_argument("--packing", type=Packing, default=Packing.FCC)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--again", action="store_true", help="measure known rows again")
    chosen = parser.parse_args(arguments)
    pixel_nm = USUAL.pixel_nm if chosen.size == USUAL.assembly_nm else LARGE_PIXEL_NM
    conditions = Conditions(
        Size(chosen.size, pixel_nm), chosen.packing, chosen.seed, chosen.diameter_nm
    )
    wanted = [name for name in CASE if not chosen.only or any(p in name for p in chosen.only)]
    missed = _measure_all(wanted, conditions, chosen.jobs, again=chosen.again)
    PAGE.write_text(page(list(stored_results().values())), encoding="utf-8")
    return 1 if missed else 0


def label(conditions: Conditions) -> str:
    """Name the conditions of a table."""
    diameter = "estimated" if conditions.diameter_nm is None else f"{conditions.diameter_nm:g} nm"
    return (
        f"{conditions.size.assembly_nm:g} nm, {conditions.packing}, seed {conditions.seed}, "
        f"diameter {diameter}"
    )


def stored_results() -> dict[tuple[str, str], Outcome]:
    """Read the results so far, by conditions and name."""
    if not RESULTS.exists():
        return {}
    stored = [_outcome(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]
    return {(one.conditions, one.case): one for one in stored if one.case in CASE}


def _store(outcome: Outcome) -> None:
    """Write a result in the place of an older one of its row."""
    stored = {**stored_results(), (outcome.conditions, outcome.case): outcome}
    lines = [json.dumps(asdict(one)) + "\n" for one in stored.values()]
    RESULTS.write_text("".join(lines), encoding="utf-8")


def _outcome(text: str) -> Outcome:
    stored = json.loads(text)
    return Outcome(**{**stored, "tables": {k: Table(**t) for k, t in stored["tables"].items()}})


def _measure_all(
    names: list[str], conditions: Conditions, jobs: int, *, again: bool
) -> list[Outcome]:
    """Measure rows in processes of their own; store and print each result at once."""
    known, name_of_table = stored_results(), label(conditions)
    names = [name for name in names if again or (name_of_table, name) not in known]
    missed = []
    with ProcessPoolExecutor(jobs, initializer=warnings.simplefilter, initargs=("ignore",)) as pool:
        running = [pool.submit(measure_named, name, conditions) for name in names]
        for each in as_completed(running):
            outcome = each.result()
            _store(outcome)
            print(line(CASE[outcome.case], outcome), flush=True)
            if misses(CASE[outcome.case], outcome):
                missed.append(outcome)
    return missed


def measure_named(name: str, conditions: Conditions) -> Outcome:
    """Measure a row by its name: the row itself holds functions that no process can send."""
    return measure(CASE[name], conditions, label(conditions))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
