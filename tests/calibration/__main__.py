"""`python -m tests.calibration [--size NM ...] [--step DEG ...] [--seeds N] [--jobs N]`.

Simulates and processes series in coarse and fine tilt steps, and compares the confidence of each
particle, and the interval of each count, with the truth. Results are stored one a line in
calibration.jsonl in the working folder and are not measured again. docs/calibration.md is written
from all of them; its part of specimens left out of the fit stays as it is. The exit code is 1 if
the interval of a trusted count misses the truth.
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

from processing.results import Trust
from tests.calibration.cases import FIRST_SEED, SMALL_NM, STEPS_DEG, Case, cases
from tests.calibration.measure import Row, measure, silence_warnings
from tests.calibration.page import PAGE, left_out_of, line, page, with_left_out

RESULTS = Path("calibration.jsonl")


def main(arguments: list[str]) -> int:
    """Measure the cases that have no result yet; write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.calibration", description=__doc__)
    parser.add_argument(
        "--size", type=float, nargs="+", default=SMALL_NM, metavar="NM", help="at least 40"
    )
    parser.add_argument("--step", type=float, nargs="+", default=STEPS_DEG, metavar="DEG")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="sessions per case")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="cases at a time")
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    chosen = parser.parse_args(arguments)
    seeds = range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    wanted = [case for case in cases(chosen.size, seeds) if case.step_deg in chosen.step]
    measure_all(wanted, chosen.jobs)
    rows = stored_results()
    earlier = chosen.page.read_text(encoding="utf-8") if chosen.page.exists() else ""
    chosen.page.write_text(with_left_out(page(rows), left_out_of(earlier)), encoding="utf-8")
    return int(any(row.verdict is Trust.TRUSTED and not row.holds for row in rows))


def stored_results() -> list[Row]:
    """Read all results measured so far."""
    if not RESULTS.exists():
        return []
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    return [_row(json.loads(text)) for text in lines]


def measure_all(wanted: Sequence[Case], jobs: int) -> None:
    """Measure cases without a result in processes; store and print each result at once."""
    done = {(row.case, row.seed) for row in stored_results()}
    new = [case for case in wanted if (case.name, case.seed) not in done]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=silence_warnings) as pool:
        running = [pool.submit(measure, case) for case in new]
        for each in as_completed(running):
            rows = each.result()
            with RESULTS.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)
            for row in rows:
                print(line(row), flush=True)


def _row(stored: dict[str, object]) -> Row:
    return Row(**{**stored, "verdict": Trust(stored["verdict"])})  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
