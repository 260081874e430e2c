"""Interval of a count, in words."""

from __future__ import annotations

from controller.model.count_verdict import Trust
from controller.report.html import number
from controller.report.report_data import Json


def interval(count: Json) -> str:
    """Return the 95 % interval of a count, the range of a doubtful one, or that it is refused."""
    between = f"{number(count['n_low'])} to {number(count['n_high'])}"
    state = Trust((count.get("verdict") or {}).get("state", Trust.TRUSTED))
    if state is Trust.TRUSTED:
        return f"95 % interval {between}"
    if state is Trust.REFUSED:
        return str(state)
    return f"{state}, {between} is no 95 % interval"
