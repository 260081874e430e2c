"""Being told to stop while something is under way, from whatever thread."""

from __future__ import annotations

from controller.hardware.adapters.driver_thread import Clock
from controller.hardware.interface import AbortedError

POLL_S = 0.05


class AbortCounters:
    """Counts what was stopped; an action compares with the count it began at.

    Counters, not locks: whoever makes the column safe must never wait for whoever works.

    Attributes
    ----------
    safe_count
        Times the column was made safe.
    blank_count
        Times the beam was blanked from outside the exposure under way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.safe_count = 0
        self.blank_count = 0

    def raise_if_made_safe(self, safe_count: int) -> None:
        """Raise AbortedError if the column was made safe since the count was `safe_count`."""
        if self.safe_count != safe_count:
            raise AbortedError("the column was made safe meanwhile: nothing more was done")

    def raise_if_blanked(self, blank_count: int) -> None:
        """Raise AbortedError if the beam was blanked since the count was `blank_count`."""
        if self.blank_count != blank_count:
            raise AbortedError("the exposure was cut short by blanking: no image")

    def wait(self, duration_s: float) -> None:
        """Let time pass; making safe ends it early."""
        safe_count, end_s = self.safe_count, self._clock.now_s() + duration_s
        while self.safe_count == safe_count and (left_s := end_s - self._clock.now_s()) > 0:
            self._clock.sleep(min(POLL_S, left_s))

    def pause(self, duration_s: float, safe_count: int) -> None:
        """Let time pass; raise AbortedError if the column was made safe since `safe_count`."""
        self.wait(duration_s)
        self.raise_if_made_safe(safe_count)
