"""Checks of the column beside the image."""

from __future__ import annotations

import pytest

from controller.model.events import Checked
from controller.ui.tui.panel_parts import check_lines
from tests.support.status_events import status_after


@pytest.mark.parametrize(
    ("name", "detail", "shown"),
    [
        ("beam", "blanked", "✓ beam         blanked"),
        ("column valves", "closed", "✓ column valves closed"),
        ("vacuum", "good", "✓ vacuum       good"),
    ],
)
def test_a_good_check_is_one_line(name: str, detail: str, shown: str) -> None:
    status = status_after(Checked(name=name, ok=True, detail=detail))
    assert [line.plain.rstrip() for line in check_lines(status)] == [shown]
