"""`python -m tests.accuracy [--seeds N] [CASE ...]`: how true the particle tables are.

Every data set is simulated, processed with nothing told, and held against its truth, one data set
a core. What was measured is kept, a line each, in accuracy.jsonl of the working folder, and not
measured again; docs/accuracy.md is made of all of it. The controls are counted for the first seed.
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
    """Measure what is asked for and not known yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="by name (default: all)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="data sets a case")
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.cases) - {case.name for case in CASES}
    if unknown:
        names = "; ".join(case.name for case in CASES)
        parser.error(f"no case {', '.join(sorted(unknown))}: choose from {names}")
    wanted = [
        (case, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + chosen.seeds)
        for case in CASES
        if case.name in chosen.cases or not chosen.cases
    ]
    measure_all(wanted)
    PAGE.write_text(page(known()), encoding="utf-8")
    return 0


def known() -> list[Record]:
    """What has been measured already."""
    if not RESULTS.exists():
        return []
    return [json.loads(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]


def measure_all(wanted: list[tuple[Case, int]]) -> None:
    """Measure what is not known yet, one data set a core; keep and print each as it comes."""
    done = {(outcome["case"], outcome["seed"]) for outcome in known()}
    cores = multiprocessing.Queue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, initializer=_stay_on_one, initargs=(cores,)) as pool:
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


def _stay_on_one(cores: multiprocessing.Queue[int]) -> None:
    os.sched_setaffinity(0, {cores.get()})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
