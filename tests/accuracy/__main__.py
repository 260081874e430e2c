"""`python -m tests.accuracy [--seeds N] [CASE ...]`: how true the particle tables are.

Every data set is simulated, processed with nothing told, and held against its truth. What was
measured is kept, a line each, in accuracy.jsonl of the working folder, and not measured again; the
pages docs/accuracy.md is made of all of it. `--coverage` runs only what the intervals need.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.accuracy.cases import CASES, Case
from tests.accuracy.measure import Record, as_record, measure
from tests.accuracy.page import line, page

RESULTS = Path("accuracy.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
FIRST_SEED = 101


def known() -> list[Record]:
    """What has been measured already."""
    if not RESULTS.exists():
        return []
    return [json.loads(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]


def main(arguments: list[str]) -> int:
    """Measure what is asked for and not known yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("cases", nargs="*", help="names or beginnings of them (default: all)")
    parser.add_argument("--seeds", type=int, default=1, help="data sets a case")
    parser.add_argument("--no-controls", action="store_true", help="the fused result alone")
    chosen = parser.parse_args(arguments)
    cases = [case for case in CASES if _named(case, chosen.cases)]
    results = known()
    for seed in range(FIRST_SEED, FIRST_SEED + chosen.seeds):
        for case in cases:
            if any(each["case"] == case.name and each["seed"] == seed for each in results):
                continue
            results.append(as_record(measure(case, seed, controls=not chosen.no_controls)))
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(results[-1]) + "\n")
            print(line(results[-1]), flush=True)
    PAGE.write_text(page(results), encoding="utf-8")
    return 0


def _named(case: Case, names: list[str]) -> bool:
    return not names or any(case.name == name for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
