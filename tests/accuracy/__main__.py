"""`python -m tests.accuracy [--seeds N] [CASE ...]`: measure the accuracy of the particle tables.

Every data set is simulated, processed from pixel size and angles alone, and compared with its
truth, one data set per core. Results are stored one a line in accuracy.jsonl in the working folder
and are not measured again. docs/accuracy.md is written from all of them. The control fusions are
only measured for the first seed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.accuracy.cases import CASES, Case
from tests.accuracy.measure import Record, measure
from tests.accuracy.page import line, page

RESULTS = Path("accuracy.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
FIRST_SEED = 101


def main(arguments: list[str]) -> int:
    """Measure the requested data sets that have no result yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="name of a case (default: all)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="data sets per case")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.cases) - {case.name for case in CASES}
    if unknown:
        names = "; ".join(case.name for case in CASES)
        parser.error(f"unknown case {', '.join(sorted(unknown))}; choose from: {names}")
    wanted = [
        (case, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + chosen.seeds)
        for case in CASES
        if case.name in chosen.cases or not chosen.cases
    ]
    measure_all(wanted)
    PAGE.write_text(page(stored_results()), encoding="utf-8")
    return 0


def stored_results() -> list[Record]:
    """Read the results of all data sets measured so far."""
    if not RESULTS.exists():
        return []
    return [json.loads(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]


def measure_all(wanted: list[tuple[Case, int]]) -> None:
    """Measure data sets without a result, one per core; store and print each result at once."""
    done = {(outcome["case"], outcome["seed"]) for outcome in stored_results()}
    cores = multiprocessing.Queue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, initializer=_pin_to_core, initargs=(cores,)) as pool:
        running = [
            pool.submit(measure, case, seed, controls=seed == FIRST_SEED)
            for case, seed in wanted
            if (case.name, seed) not in done
        ]
        for each in as_completed(running):
            outcome = each.result()
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(outcome) + "\n")
            print(line(outcome), flush=True)


def _pin_to_core(cores: multiprocessing.Queue[int]) -> None:
    os.sched_setaffinity(0, {cores.get()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
