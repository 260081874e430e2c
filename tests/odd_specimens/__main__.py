"""`python -m tests.odd_specimens [--seed N] [CASE ...]`: counts of faulty series against the truth.

Each case adds one fault to a simulated dual series. A line for each case: particles found in A, in
B and in both, against the truth, with F1, rms, interval and what was said.
"""

from __future__ import annotations

import argparse
import sys
import time

from processing import ProcessingError, ProcessSettings, combine_series, process_series
from simulator.scoring import score_tables
from simulator.settings import Packing
from tests.odd_specimens.cases import CASES, Case


def main(arguments: list[str]) -> int:
    """Process the requested cases and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.odd_specimens", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="name of a case (default: all)")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--packing", type=Packing, default=Packing.FCC)
    parser.add_argument("--single", action="store_true", help="series A alone")
    chosen = parser.parse_args(arguments)
    for case in CASES:
        if case.name in chosen.cases or not chosen.cases:
            print(_line(case, chosen.packing, chosen.seed, single=chosen.single), flush=True)
    return 0


def _line(case: Case, packing: Packing, seed: int, *, single: bool) -> str:
    series_a, series_b, dual = case.record(packing, seed)
    settings = ProcessSettings()
    begin = time.process_time()
    try:
        a = process_series(series_a, settings)
        tables = {"A": a.detection.table.centres_nm}
        count, warnings = a.detection.count, list(a.warnings)
        if not single:
            b = process_series(series_b, settings)
            fused = combine_series(a, b, settings)
            tables |= {"B": fused.table_b.centres_nm, "fused": fused.detection.table.centres_nm}
            count, warnings = fused.detection.count, [*warnings, *b.warnings]
    except ProcessingError as error:
        return f"{case.name:32} refused: {error}"
    scores = score_tables(dual.truth, tables).tables
    truth, last = len(dual.truth), scores[list(scores)[-1]]
    f1 = " ".join(f"{name} {score.f1:.4f}" for name, score in scores.items())
    rms = "-" if last.rms_nm is None else "/".join(f"{value:.2f}" for value in last.rms_nm)
    holds = "holds" if count.n_low <= truth <= count.n_high else "MISSES"
    depth = "/".join(f"{part:.3f}" for part in last.recall_by_depth)
    return (
        f"{case.name:32} {truth:5} F1 {f1}  rms {rms} nm  {count.n} ({count.n_low} to "
        f"{count.n_high}) {holds}  recall by depth {depth}  "
        f"{time.process_time() - begin:.0f} s CPU  {warnings}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
