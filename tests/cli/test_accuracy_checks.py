"""Accuracy checks of simulated sessions, and the lines on those that fail."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from controller.rehearsal.accuracy_checks import Accuracy, Score, failed_checks


def score(
    recall: float, precision: float = 0.99, exit_a: float = 1.0, exit_b: float = 1.0
) -> Score:
    return Score(
        found=100,
        recall=recall,
        precision=precision,
        rms_nm=(0.1, 0.1, 0.2),
        recall_by_depth=(exit_a, recall, exit_b),
    )


GOOD_TABLES = {"A": score(0.93, exit_a=0.8), "B": score(0.9, exit_b=0.75), "fused": score(0.999)}


@dataclass(frozen=True)
class Case:
    name: str
    change: dict[str, Score | None]
    said: tuple[str, ...]


CASES = [
    Case("all checks pass", {}, ()),
    Case("low recall", {"fused": score(0.97)}, ("fused recall 0.9700 is below",)),
    Case("low precision", {"fused": score(0.99, 0.9)}, ("fused precision 0.9000",)),
    Case("A alone finds every particle", {"A": score(1.0, exit_a=1.0)}, ()),
    Case("no gain over A", {"A": score(1.0), "fused": score(0.99, exit_a=0.99)}, ("A's exit",)),
    Case("no gain over B", {"B": score(1.0), "fused": score(0.99, exit_b=0.98)}, ("B's exit",)),
    Case("no fused table", {"fused": None}, ("no fused",)),
    Case("no table of B", {"B": None}, ("no particle table of B",)),
    Case("two failed checks", {"fused": score(0.5, 0.5)}, ("fused recall", "fused precision")),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_missed_check_is_named(case: Case) -> None:
    tables = {name: table for name, table in {**GOOD_TABLES, **case.change}.items() if table}
    misses = failed_checks(Accuracy(n_truth=100, tolerance_nm=1.5, tables=tables))
    assert len(misses) == len(case.said)
    for miss, said in zip(misses, case.said, strict=True):
        assert said in miss
