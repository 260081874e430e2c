"""Abort counters for running actions."""

from __future__ import annotations

from controller.hardware.adapters.driver_thread import Clock
from controller.hardware.interface import AbortedError

POLL_S = 0.05


class AbortCounters:
    """Counters of safety and blanking calls; a running action aborts when one has increased.

    They are counters, not locks: a safety call must never wait for a running action.

    Attributes
    ----------
    safe_count
        Number of times the column was made safe.
    blank_count
        Number of times the beam was blanked by a call other than the running exposure.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.safe_count = 0
        self.blank_count = 0

    def raise_if_made_safe(self, safe_count: int) -> None:
        """Raise AbortedError if the column was made safe since `safe_count` was read."""
        if self.safe_count != safe_count:
            raise AbortedError("the column was made safe meanwhile: the action was aborted")

    def raise_if_blanked(self, blank_count: int) -> None:
        """Raise AbortedError if the beam was blanked since `blank_count` was read."""
        if self.blank_count != blank_count:
            raise AbortedError("the beam was blanked during the exposure: no image")

    def wait(self, duration_s: float) -> None:
        """Wait; a safety call ends the wait early."""
        safe_count, end_s = self.safe_count, self._clock.now_s() + duration_s
        while self.safe_count == safe_count and (left_s := end_s - self._clock.now_s()) > 0:
            self._clock.sleep(min(POLL_S, left_s))

    def pause(self, duration_s: float, safe_count: int) -> None:
        """Wait; raise AbortedError if the column was made safe since `safe_count` was read."""
        self.wait(duration_s)
        self.raise_if_made_safe(safe_count)
