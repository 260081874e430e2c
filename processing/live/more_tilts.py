"""Judge what the tilts that are left would add to the count of a growing series.

The judgement rests on the latest live counts. It is conservative: whatever is missing or odd means
that more tilts are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from processing.live.series_counter import LiveCount, expected_change
from processing.pipeline.verdict import COARSE_STEP
from processing.results import Cause, Count, Trust
from processing.series import Float64

COUNTS_THAT_AGREE = 3
"""Consecutive counts that must agree before a series has enough tilts."""
SETTLED_CHANGE = 0.01
"""Largest change between two counts that agree, as a fraction; one particle is always allowed."""
NARROW_INTERVAL = 0.03
"""Largest half interval of a settled count, as a fraction; two particles are always allowed."""
LARGEST_GAP = COARSE_STEP
"""Largest gap between tilts times the object's size, in diameters: that of a usual tilt step."""
STAYS_IN_ONE_SERIES = (Cause.EXIT_SIDE,)
"""Causes of doubt that more tilts of the same series do not remove."""


@dataclass(frozen=True)
class CountSoFar:
    """One live count, as far as it tells whether more tilts are needed.

    Attributes
    ----------
    tilts
        Number of tilts recorded, with those that the alignment rejects.
    gap
        Largest gap between neighbouring tilts within the planned range, its ends included, times
        the object's size in diameters.
    """

    tilts: int
    count: Count
    gap: float


@dataclass(frozen=True)
class MoreTilts:
    """Expected change of the count by the tilts that are left.

    Attributes
    ----------
    change, change_low, change_high
        Expected change and its range, in particles.
    missing
        What is missing to end the series now, in one phrase; empty if it has enough tilts.
    """

    tilts_used: int
    tilts_left: int
    change: int
    change_low: int
    change_high: int
    missing: str

    @property
    def enough(self) -> bool:
        """True if the series has enough tilts."""
        return not self.missing


def count_so_far(found: LiveCount, planned_deg: Sequence[float]) -> CountSoFar:
    """Return the facts of a live count that `what_more_tilts_add` needs.

    Parameters
    ----------
    planned_deg
        Tilts of the complete series.
    """
    aligned, fitness = found.result.aligned, found.result.detection.fitness
    used_deg = np.unique(np.round(aligned.angles_deg[~aligned.excluded], 2))
    gap = np.inf
    if fitness is not None and len(used_deg) > 1:
        gap = fitness.step * largest_gap_deg(used_deg, planned_deg) / np.diff(used_deg).mean()
    return CountSoFar(len(found.alignment.angles_deg), found.count, float(gap))


def largest_gap_deg(used_deg: Float64, planned_deg: Sequence[float]) -> float:
    """Return the largest gap between tilts, also that between an end of the plan and the tilts."""
    return float(np.diff(np.sort([*used_deg, min(planned_deg), max(planned_deg)])).max())


def what_more_tilts_add(history: Sequence[CountSoFar], tilts_left: int) -> MoreTilts | None:
    """Judge what the tilts that are left would add; None with fewer than two counts.

    Parameters
    ----------
    history
        Consecutive live counts of the series, none of them refused, in the order of tilts.
    """
    if len(history) < 2:
        return None
    newest = history[-1]
    counts = [(known.tilts, known.count.n) for known in history]
    change = expected_change(counts, newest.tilts + tilts_left)
    return MoreTilts(
        tilts_used=newest.tilts,
        tilts_left=tilts_left,
        change=change,
        change_low=min(change, newest.count.n_low - newest.count.n),
        change_high=max(change, newest.count.n_high - newest.count.n),
        missing=_missing(history, change),
    )


def _missing(history: Sequence[CountSoFar], change: int) -> str:
    """Return the first thing that a series lacks to be ended; empty if nothing is missing."""
    latest = history[-COUNTS_THAT_AGREE:]
    count = latest[-1].count
    allowed = max(1, round(SETTLED_CHANGE * count.n))
    changes = [abs(later.count.n - before.count.n) for before, later in pairwise(latest)]
    half = max(count.n - count.n_low, count.n_high - count.n)
    if len(latest) < COUNTS_THAT_AGREE:
        return "one more count"
    if max(*changes, abs(change)) > allowed:
        return f"the count still changes by more than {allowed}"
    if half > max(2, round(NARROW_INTERVAL * count.n)):
        return f"the interval is wider than {NARROW_INTERVAL:.0%}"
    if not all(_is_sound(known.count) for known in latest):
        return "a count is doubtful"
    if latest[-1].gap > LARGEST_GAP:
        return "the tilts leave gaps that are too wide for the object"
    return ""


def _is_sound(count: Count) -> bool:
    """Return True for a trusted count, and for a doubt that more tilts would not remove."""
    verdict = count.verdict
    if verdict is None or verdict.state is Trust.REFUSED:
        return False
    return verdict.state is Trust.TRUSTED or set(verdict.causes) <= set(STAYS_IN_ONE_SERIES)
