"""A count as everyone outside the worker hears of it."""

from __future__ import annotations

from controller.model.base import Which
from controller.model.events import Counted
from processing.results import Count


def counted(which: Which, count: Count, tilts: int, diameter_nm: float, *, live: bool) -> Counted:
    """The event that tells a count of so many tilts."""
    return Counted(
        which=which,
        n=count.n,
        n_low=count.n_low,
        n_high=count.n_high,
        tilts_used=tilts,
        live=live,
        diameter_nm=diameter_nm,
    )
