"""The structure check names what misses a goal, and writes its table between the marks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.structure_check.measure import Row
from tests.structure_check.page import DISTURBED, FROM_IMAGES, missed, page

GOOD = Row(
    "fcc", "usual", 1, 7000, 0.9, 1.1, (3, 3), (1, 1), 0.2, -0.05, 0.01, 0.6, 1.2, 0.9, 1.1, 2.0
)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        pytest.param(GOOD, [], id="good"),
        pytest.param(replace(GOOD, turn_deg=None, edge_percent=None), [], id="no grains"),
        pytest.param(replace(GOOD, share_points=3.4), ["shares differ by 3.4 points"], id="shares"),
        pytest.param(
            replace(GOOD, turn_deg=0.6), ["an orientation differs by 0.60 degrees"], id="turn"
        ),
        pytest.param(
            replace(GOOD, edge_percent=-0.3), ["the lattice constant by -0.30 %"], id="edge"
        ),
        pytest.param(replace(GOOD, packing="icosahedral", edge_percent=-0.3), [], id="strained"),
    ],
)
def test_what_misses_a_goal_is_named(row: Row, says: list[str]) -> None:
    assert missed(row) == says


@pytest.mark.parametrize("name", [DISTURBED, FROM_IMAGES])
def test_a_table_stands_between_its_marks(name: str) -> None:
    text = page(f"before\n<!-- {name} -->\nold\n<!-- end of {name} -->\nafter\n", [GOOD], name)
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| fcc | usual | 7000 | 0.9 (given: 1.1) | 3 / 3 | 1 / 1 | 0.20 | -0.050 |" in text
    assert "| 0.60 | 1.20, 0.90, 1.10 |" in text
