"""Expected change of a count by the tilts that are left; see `processing.live.more_tilts`."""

from __future__ import annotations

from controller.model.base import Data


class MoreTilts(Data):
    """Expected change of the count by the tilts that are left, and if the series may end."""

    tilts_used: int
    tilts_left: int
    n: int
    n_low: int
    n_high: int
    change: int
    """Expected change (particles)."""
    change_low: int
    change_high: int
    missing: str
    """First thing that is missing to end the series now; empty if it has enough tilts."""

    @property
    def enough(self) -> bool:
        """True if the series has enough tilts."""
        return not self.missing

    @property
    def line(self) -> str:
        """Expected change and advice in one line."""
        advice = "enough tilts now" if self.enough else f"not enough yet: {self.missing}"
        return (
            f"{self.tilts_left} more tilts would change the count by about {self.change:+d} "
            f"({self.change_low:+d} to {self.change_high:+d}); {advice}"
        )
