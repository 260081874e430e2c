"""Numbers of the report as a reader sees them."""

from __future__ import annotations

import pytest

from controller.report.html import at_least_zero


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        pytest.param(0.0123, ".3f", "0.012 nm", id="as it is"),
        pytest.param(0.0004, ".3f", "under 0.001 nm", id="smaller than its digits"),
        pytest.param(0.0, ".3f", "under 0.001 nm", id="zero"),
        pytest.param(0.04, ".1f", "under 0.1 nm", id="one digit"),
        pytest.param(0.4, ",.0f", "under 1 nm", id="no digit"),
        pytest.param(None, ".3f", "–", id="unknown"),
    ],
)
def test_an_error_is_never_shown_as_zero(value: float | None, form: str, shown: str) -> None:
    assert at_least_zero(value, form, "nm").replace("\N{NO-BREAK SPACE}", " ") == shown
