"""Decide when a growing series is counted."""

from __future__ import annotations

TILTS_BETWEEN_COUNTS = 8
"""Number of new tilts after which a growing series is counted again."""
MIN_NEW_TILTS_AT_END = 2
"""Smallest number of new tilts for the count at the end of a series."""
FIRST_COUNT_S = 15.0
"""Time assumed for the first count (s): 8.5 s on two free cores, 160 px; a session runs beside."""


class CountSchedule:
    """Times of the counts of one growing series.

    A count that would not be ready before the series ends is left out: the count at the end
    follows at once, and would have to wait for it.
    """

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None
        self._counted_at = 0
        self._count_s = FIRST_COUNT_S

    def due(self, tilts: int, tilts_left: int, now_s: float) -> bool:
        """Return true if the tilts so far are to be counted now; they then count as counted."""
        if self._first is None:
            self._first = (now_s, tilts)
        if tilts_left == 0:
            due = tilts - self._counted_at >= MIN_NEW_TILTS_AT_END
        else:
            enough = tilts - self._counted_at >= TILTS_BETWEEN_COUNTS
            due = enough and not self._late(tilts, tilts_left, now_s)
        if due:
            self._counted_at = tilts
        return due

    def took(self, count_s: float) -> None:
        """Record the time that a count took (s)."""
        self._count_s = count_s

    def _late(self, tilts: int, tilts_left: int, now_s: float) -> bool:
        """Return true if the rest of the series takes less time than a count."""
        assert self._first is not None
        first_s, first_tilts = self._first
        new_tilts = tilts - first_tilts
        return new_tilts > 0 and tilts_left * (now_s - first_s) / new_tilts < self._count_s
