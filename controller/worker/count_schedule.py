"""Decide when a growing series is counted."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median

TILTS_BETWEEN_COUNTS = 8
"""Number of new tilts after which a growing series is counted again."""
MIN_NEW_TILTS_AT_END = 2
"""Smallest number of new tilts for the count at the end of a series."""
FIRST_COUNT_S = 15.0
"""Time assumed for the first count (s): 8.5 s on two free cores, 160 px; a session runs beside."""
LATEST_FRAMES = 9
"""Number of latest frames that give the time of a tilt."""
SHORTEST_TILT_S = 0.05
"""Shortest time of a recorded tilt (s). A resumed series announces its frames faster."""


class RecordingPace:
    """Time of a tilt, from the arrival of the latest frames of a series."""

    def __init__(self) -> None:
        self._arrived_s: deque[float] = deque(maxlen=LATEST_FRAMES)

    def arrived(self, now_s: float) -> None:
        """Record that a frame has arrived."""
        self._arrived_s.append(now_s)

    @property
    def tilt_s(self) -> float | None:
        """Median time from one frame to the next (s); None if frames do not tell it yet."""
        if len(self._arrived_s) < LATEST_FRAMES:
            return None
        tilt_s = median(later - before for before, later in pairwise(self._arrived_s))
        return tilt_s if tilt_s >= SHORTEST_TILT_S else None


class CountSchedule:
    """Times of the counts of one growing series.

    A count that would not be ready before the series ends is left out: it would hold up the final
    count, which follows at once.
    """

    def __init__(self) -> None:
        self._counted_at = 0
        self._count_s = FIRST_COUNT_S

    def due(self, tilts: int, tilts_left: int, tilt_s: float | None) -> bool:
        """Return true if the tilts so far are to be counted now; they then count as counted.

        Parameters
        ----------
        tilt_s
            Time of a tilt (s); None if it is unknown.
        """
        at_end = tilts_left == 0
        wanted = MIN_NEW_TILTS_AT_END if at_end else TILTS_BETWEEN_COUNTS
        late = not at_end and tilt_s is not None and tilts_left * tilt_s < self._count_s
        if late or tilts - self._counted_at < wanted:
            return False
        self._counted_at = tilts
        return True

    def took(self, count_s: float) -> None:
        """Record the time that a count took (s)."""
        self._count_s = count_s
