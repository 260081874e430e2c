"""Eight right flips and eight wrong ones: what `python -m tests.gate` does with a hundred each."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.rehearsal.hands import Hands
from simulator.settings import Packing
from tests.gate.__main__ import table
from tests.gate.trials import WRONG, Specimen, trials

HANDS = (*(Hands.FLIPPED,) * 4, *WRONG)


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.MULTI_GRAIN])
def test_right_flips_are_accepted_and_wrong_ones_refused_by_name(
    tmp_path: Path, packing: Packing
) -> None:
    specimen = Specimen(packing, diameter_nm=80.0, seed=3, step_deg=8.0)
    done = list(trials(specimen, HANDS, tmp_path / "gate"))
    assert len(done) == len(HANDS)
    assert all(trial.as_it_must_be for trial in done), table(done)
