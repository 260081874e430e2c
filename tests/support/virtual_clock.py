"""Clock that jumps instead of sleeping."""

from __future__ import annotations


class VirtualClock:
    """Replaces the clock of the adapters."""

    def __init__(self) -> None:
        self._now_s = 100.0

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        self._now_s += duration_s
