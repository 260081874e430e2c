"""The tables of limits name counts that are trusted and wrong, and summarise each cell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from processing.results import Trust
from simulator.settings import Packing
from tests.accuracy.limits.cases import DOSES, Case, cases
from tests.accuracy.limits.figure import figure
from tests.accuracy.limits.measure import Row
from tests.accuracy.limits.page import MARK, with_tables

DOUBTFUL = Trust.DOUBTFUL


def row(
    found: int,
    real: int,
    interval: tuple[int, int],
    verdict: Trust = Trust.TRUSTED,
    given: str = "nothing",
) -> Row:
    tenths = (*(((0, 0.0, 0),) * 9), (found, 0.99 * found, real))
    facts = ("fcc", 50.0, 8.0, "1/30", 0.8, 701, given, "A", 100, found, real)
    return Row(*facts, *interval, verdict, (), tenths)


@dataclass(frozen=True)
class Shown:
    name: str
    row: Row
    wrong: bool
    cell: str


SHOWN = [
    Shown("right", row(100, 100, (99, 101)), False, "1.0000; 1 of 1; -1.0; 1 trusted"),
    Shown("interval misses", row(90, 90, (89, 91)), True, "0.9474; 0 of 1; -1.0; 1 trusted"),
    Shown("wrong places", row(100, 90, (99, 101)), True, "0.9000; 1 of 1; +9.0; 1 trusted"),
    Shown(
        "doubtful",
        row(90, 90, (80, 110), Trust.DOUBTFUL),
        False,
        "0.9474; 1 of 1; -1.0; 1 doubtful",
    ),
    Shown("refused", row(0, 0, (0, 0), Trust.REFUSED), False, "1 refused"),
]


@pytest.mark.parametrize("case", SHOWN, ids=lambda case: case.name)
def test_a_count_is_in_its_cell_and_named_if_trusted_and_wrong(case: Shown) -> None:
    text = with_tables(f"intro\n{MARK}old", [case.row])
    assert text.startswith(f"intro\n{MARK}") and "old" not in text
    assert f"| 8 degrees | {case.cell} |" in text
    named = text.split("### Trusted and wrong")[1].split("###")[0]
    assert ("seed 701" in named) == case.wrong
    assert ("#c00000" in figure([case.row])) == case.wrong


def test_controls_stand_beside_the_product() -> None:
    text = with_tables(MARK, [row(90, 90, (80, 110)), row(100, 100, (99, 101), given="poses")])
    assert "| A or B | 0.9474 (0.9474), n = 1 | 1.0000 (1.0000), n = 1 | – | – |" in text


def test_the_coarsest_and_faintest_images_come_first() -> None:
    ordered = list(cases((50.0,), (2.0, 8.0), tuple(DOSES), (Packing.FCC,), (1,)))
    assert ordered[0] == Case(Packing.FCC, 50.0, 8.0, "1/300", 0.8, 1)
    assert ordered[-1] == Case(Packing.FCC, 50.0, 2.0, "1", 0.8, 1)
