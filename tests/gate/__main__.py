"""`python -m tests.gate [--specimens N]`: the flip gate against 100 right and 100 wrong flips.

Each specimen is recorded once and flipped eight times: four times right, at angles, seats and
places of its own, and once in every wrong way. Prints the confusion table and every verdict that
is not as it must be; exits with 1 where there is one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path

from controller.rehearsal.hands import Hands
from simulator.settings import Packing
from tests.gate.trials import WRONG, Specimen, Trial, trials

PACKINGS = (Packing.FCC, Packing.MULTI_GRAIN, Packing.FCC, Packing.DISORDERED)
"""Half of them single crystals, which are the hardest."""
DIAMETERS_NM = (165.0, 140.0, 120.0)
HANDS = (*(Hands.FLIPPED,) * 4, *WRONG)


def main(arguments: list[str]) -> int:
    """Try every specimen; say how often the gate was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate", description=__doc__)
    parser.add_argument("--specimens", type=int, default=25, metavar="N")
    number = parser.parse_args(arguments).specimens
    kinds = islice(zip(cycle(PACKINGS), cycle(DIAMETERS_NM), strict=False), number)
    done: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed, (packing, diameter_nm) in enumerate(kinds, start=1):
            specimen = Specimen(packing, diameter_nm, seed)
            for trial in trials(specimen, HANDS, Path(folder) / f"{seed}"):
                done.append(trial)
                print(_line(trial), flush=True)
    print(table(done))
    return int(any(not trial.as_it_must_be for trial in done))


def table(done: Iterable[Trial]) -> str:
    """What hands did against what the gate said."""
    counted = Counter((trial.hands, trial.check.accepted) for trial in done)
    named = Counter(trial.hands for trial in done if trial.as_it_must_be)
    rows = [f"{'hands':<18}{'accepted':>10}{'refused':>10}{'named':>10}"]
    rows += [
        f"{hands.value:<18}{counted[hands, True]:>10}{counted[hands, False]:>10}{named[hands]:>10}"
        for hands in (Hands.FLIPPED, *WRONG)
    ]
    right = [trial.check for trial in done if trial.hands is Hands.FLIPPED]
    wrong = [trial.check for trial in done if trial.hands is not Hands.FLIPPED]
    if right and wrong:
        lead = min(check.flipped_score - check.same_side_score for check in right)
        rows.append(
            f"right: least score {min(check.flipped_score for check in right):.2f}, least lead "
            f"{lead:+.2f}; wrong: highest lead "
            f"{max(check.flipped_score - check.same_side_score for check in wrong):+.2f}"
        )
    return "\n".join(rows)


def _line(trial: Trial) -> str:
    check, specimen = trial.check, trial.specimen
    return (
        f"{'' if trial.as_it_must_be else 'WRONG '}{specimen.packing.value} "
        f"{specimen.diameter_nm:g} nm, {trial.hands.value} at {trial.in_plane_deg:.1f}: "
        f"{check.found} ({check.flipped_score:.2f} against {check.same_side_score:.2f}, next "
        f"{check.runner_up_score:.2f})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
