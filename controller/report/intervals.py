"""Intervals of counts, in words, and of shares."""

from __future__ import annotations

from controller.model.count_verdict import Trust, interval_in_words
from controller.report.html import number
from controller.report.report_data import Json


def interval(count: Json) -> str:
    """Return the 95 % interval of a count, the range of a doubtful one, or that it is refused."""
    return interval_in_words(trust(count), number(count["n_low"]), number(count["n_high"]))


def share_interval(share: float, error: float) -> tuple[float, float]:
    """Return the 95 % interval of a share: two standard errors to each side, but within 0 to 1.

    No true share lies outside, so what is cut off takes nothing from the 95 %.
    """
    return max(0.0, share - 2 * error), min(1.0, share + 2 * error)


def trust(count: Json) -> Trust:
    """Return the trust in a count; one that was not compared with the images is trusted."""
    return Trust((count.get("verdict") or {}).get("state", Trust.TRUSTED))
