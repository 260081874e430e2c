"""`python -m tests.flip_check [--specimens N]`: the flip check on 100 correct and 100 wrong flips.

Series A of each specimen is recorded once. The specimen is then flipped eight times: four times
correctly, each time with another angle, seat and position, and once in each wrong way. Prints every
result and the confusion table; exits with 1 if a result is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path

from controller.rehearsal.operator_actions import OperatorAction
from simulator.settings import Packing
from tests.flip_check.trials import WRONG, Specimen, Trial, trials

PACKINGS = (Packing.FCC, Packing.MULTI_GRAIN, Packing.FCC, Packing.DISORDERED)
"""Half of the specimens are single crystals, which are the most difficult."""
DIAMETERS_NM = (165.0, 140.0, 120.0)
ACTIONS = (*(OperatorAction.FLIPPED,) * 4, *WRONG)


def main(arguments: list[str]) -> int:
    """Test every specimen; print how often the flip check was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.flip_check", description=__doc__)
    parser.add_argument("--specimens", type=int, default=25, metavar="N")
    number = parser.parse_args(arguments).specimens
    kinds = islice(zip(cycle(PACKINGS), cycle(DIAMETERS_NM), strict=False), number)
    results: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed, (packing, diameter_nm) in enumerate(kinds, start=1):
            specimen = Specimen(packing, diameter_nm, seed)
            for trial in trials(specimen, ACTIONS, Path(folder) / f"{seed}"):
                results.append(trial)
                print(_line(trial), flush=True)
    print(table(results))
    return int(any(not trial.correct for trial in results))


def table(results: Iterable[Trial]) -> str:
    """Confusion table: what was done to the grid, and what the flip check found."""
    counted = Counter((trial.action, trial.check.accepted) for trial in results)
    correct = Counter(trial.action for trial in results if trial.correct)
    rows = [f"{'grid was':<18}{'accepted':>10}{'refused':>10}{'correct':>10}"]
    rows += [
        f"{action.value:<18}{counted[action, True]:>10}{counted[action, False]:>10}"
        f"{correct[action]:>10}"
        for action in (OperatorAction.FLIPPED, *WRONG)
    ]
    right = [trial.check for trial in results if trial.action is OperatorAction.FLIPPED]
    wrong = [trial.check for trial in results if trial.action is not OperatorAction.FLIPPED]
    if right and wrong:
        lead = min(check.flipped_score - check.same_side_score for check in right)
        rows.append(
            f"flipped: lowest score {min(check.flipped_score for check in right):.2f}, lowest lead "
            f"{lead:+.2f}; others: highest lead "
            f"{max(check.flipped_score - check.same_side_score for check in wrong):+.2f}"
        )
    return "\n".join(rows)


def _line(trial: Trial) -> str:
    check, specimen = trial.check, trial.specimen
    return (
        f"{'' if trial.correct else 'WRONG '}{specimen.packing.value} "
        f"{specimen.diameter_nm:g} nm, {trial.action.value} at {trial.in_plane_deg:.1f} degrees: "
        f"{check.found} (flipped {check.flipped_score:.2f}, same side "
        f"{check.same_side_score:.2f}, next best {check.runner_up_score:.2f})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
