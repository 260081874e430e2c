"""Being told to stop while something is under way, from whatever thread."""

from __future__ import annotations

from controller.hardware.adapters.threads import Clock
from controller.hardware.interface import AbortedError

POLL_S = 0.05


class Halts:
    """Counts what was stopped; an action compares with the count it began at.

    Counters, not locks: whoever makes the column safe must never wait for whoever works.

    Attributes
    ----------
    safes
        Times the column was made safe.
    blanks
        Times the beam was blanked from outside the exposure under way.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.safes = 0
        self.blanks = 0

    def refuse_after_safe(self, safes: int) -> None:
        """Raise AbortedError if the column was made safe since the count was `safes`."""
        if self.safes != safes:
            raise AbortedError("the column was made safe meanwhile: nothing more was done")

    def refuse_after_blank(self, blanks: int) -> None:
        """Raise AbortedError if the beam was blanked since the count was `blanks`."""
        if self.blanks != blanks:
            raise AbortedError("the exposure was cut short by blanking: no image")

    def wait(self, duration_s: float) -> None:
        """Let time pass; making safe ends it early."""
        safes, end_s = self.safes, self._clock.now_s() + duration_s
        while self.safes == safes and (left_s := end_s - self._clock.now_s()) > 0:
            self._clock.sleep(min(POLL_S, left_s))

    def pause(self, duration_s: float, safes: int) -> None:
        """Let time pass; raise AbortedError if the column was made safe since `safes`."""
        self.wait(duration_s)
        self.refuse_after_safe(safes)
