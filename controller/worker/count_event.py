"""Events that publish a count, and what more tilts would add to it."""

from __future__ import annotations

from controller.model.base import Which
from controller.model.count_verdict import CountVerdict
from controller.model.events import Counted
from controller.model.more_tilts import MoreTilts
from processing.live import more_tilts as live
from processing.results import Count


def count_event(
    which: Which,
    count: Count,
    tilts: int,
    diameter_nm: float,
    *,
    live: bool,
    structure: str = "",
    final_residual_px: float | None = None,
) -> Counted:
    """Return the event for a count from a number of tilts, with its structure in one line."""
    return Counted(
        which=which,
        n=count.n,
        n_low=count.n_low,
        n_high=count.n_high,
        tilts_used=tilts,
        live=live,
        diameter_nm=diameter_nm,
        verdict=_verdict(count),
        structure=structure,
        final_residual_px=final_residual_px,
    )


def more_tilts(count: Count, judged: live.MoreTilts) -> MoreTilts:
    """Return what more tilts would add to a count, in the form that events publish."""
    return MoreTilts(n=count.n, n_low=count.n_low, n_high=count.n_high, **vars(judged))


def _verdict(count: Count) -> CountVerdict | None:
    return CountVerdict.model_validate(count.verdict.model_dump()) if count.verdict else None
