"""`python -m tests.wrong_inputs [KIND ...]`: is any wrong count trusted, is any right one doubted?

All kinds are measured without arguments, and docs/wrong-inputs.md is written. The exit code is 1 if
a wrong count is trusted or a good one is not.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

from tests.wrong_inputs.kinds import KINDS
from tests.wrong_inputs.measure import Row, measure
from tests.wrong_inputs.page import line, page

PAGE = Path(__file__).parents[2] / "docs" / "wrong-inputs.md"


def main(arguments: list[str]) -> int:
    """Measure the kinds whose names contain one of the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.wrong_inputs", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="part of a kind's name")
    wanted = parser.parse_args(arguments).kinds
    chosen = [kind for kind in KINDS if not wanted or any(part in kind.name for part in wanted)]
    warnings.simplefilter("ignore")
    rows: list[Row] = []
    for kind in chosen:
        rows.append(measure(kind))
        print(line(rows[-1]), flush=True)
    if not wanted:
        PAGE.write_text(page(rows), encoding="utf-8")
    return 0 if all(row.as_wanted for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
