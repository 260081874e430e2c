"""Every kind of step can be carried out."""

from __future__ import annotations

from typing import get_args

from controller.engine import dispatch
from controller.model.steps import Step


def test_every_kind_of_step_has_a_procedure() -> None:
    kinds = [step.model_fields["kind"].default for step in get_args(get_args(Step)[0])]
    assert sorted(dispatch._CARRY_OUT) == sorted(kinds)
