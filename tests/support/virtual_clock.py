"""Time that passes when it is slept through."""

from __future__ import annotations


class VirtualClock:
    """Stands in for the adapters' clock."""

    def __init__(self) -> None:
        self._now_s = 100.0

    def now_s(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        self._now_s += duration_s
