"""`python -m tests.wrong_inputs [KIND ...]`: is any wrong count trusted, is any right one doubted?

Arguments are parts of the names of kinds; all kinds are measured without one. Results are stored
one a line in wrong-inputs.jsonl in the working folder and are not measured again without `--again`.
docs/wrong-inputs.md is written from all results. The exit code is 1 if a wrong count is trusted or
a good one is not.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

from tests.wrong_inputs.kinds import KINDS
from tests.wrong_inputs.measure import Outcome, Row, measure
from tests.wrong_inputs.page import line, page

RESULTS = Path("wrong-inputs.jsonl")
PAGE = Path(__file__).parents[2] / "docs" / "wrong-inputs.md"


def main(arguments: list[str]) -> int:
    """Measure the kinds that were asked for and have no result yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_inputs", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="part of a kind's name")
    parser.add_argument("--again", action="store_true", help="measure known kinds again")
    wanted = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    known = stored_results()
    for kind in KINDS:
        chosen = not wanted.kinds or any(part in kind.name for part in wanted.kinds)
        if not chosen or (kind.name in known and not wanted.again):
            continue
        row = measure(kind)
        known[kind.name] = row
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        print(line(row), flush=True)
    rows = [known[kind.name] for kind in KINDS if kind.name in known]
    PAGE.write_text(page(rows, len(KINDS)), encoding="utf-8")
    return 0 if all(row.as_wanted for row in rows) else 1


def stored_results() -> dict[str, Row]:
    """Read the newest result of each kind measured so far."""
    if not RESULTS.exists():
        return {}
    stored = [json.loads(text) for text in RESULTS.read_text(encoding="utf-8").splitlines()]
    rows = [Row(**{**each, "outcome": Outcome(each["outcome"])}) for each in stored]
    return {row.kind: row for row in rows}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
