"""Checks of the column beside the image."""

from __future__ import annotations

import pytest

from controller.model.events import Checked
from controller.ui.tui.panel_parts import check_lines
from tests.support.status_events import status_after


@pytest.mark.parametrize(
    ("name", "detail", "shown"),
    [
        ("beam blanked", "blanked", "✓ beam blanked"),
        ("valves closed", "closed", "✓ valves closed"),
        ("vacuum", "good", "✓ vacuum       good"),
        ("stage at zero", "alpha +0.00 degrees", "✓ stage at zero alpha +0.00 degrees"),
    ],
)
def test_a_good_check_says_nothing_twice(name: str, detail: str, shown: str) -> None:
    status = status_after(Checked(name=name, ok=True, detail=detail))
    assert [line.plain.rstrip() for line in check_lines(status)] == [shown]
