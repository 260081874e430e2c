"""The flip check on four correct and eight wrong flips; `python -m tests.flip_check` does more."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.rehearsal.operator_actions import OperatorAction
from simulator.settings import Packing
from tests.flip_check.__main__ import table
from tests.flip_check.trials import WRONG, Specimen, trials

ACTIONS = (*(OperatorAction.FLIPPED,) * 2, *WRONG)


@pytest.mark.parametrize("packing", [Packing.FCC, Packing.MULTI_GRAIN])
def test_correct_flips_are_accepted_and_wrong_ones_refused_with_their_reason(
    tmp_path: Path, packing: Packing
) -> None:
    specimen = Specimen(packing, diameter_nm=80.0, seed=3, step_deg=8.0)
    results = list(trials(specimen, ACTIONS, tmp_path / "trials"))
    assert len(results) == len(ACTIONS)
    assert all(trial.correct for trial in results), table(results)
