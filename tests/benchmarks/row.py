"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["ms", "s", "GB", "%"]


@dataclass(frozen=True)
class Row:
    """Our time or memory and a peer's on the same problem, measured in the same run.

    Attributes
    ----------
    ours, theirs
        Values in seconds, GB or per cent; `unit` says how they are shown.
    target_ratio
        Largest allowed ratio of ours to theirs; None if there is no such target.
    limit
        Largest allowed value of ours, whatever the peer's; None if there is no limit.
    """

    problem: str
    ours: float
    peer: str
    theirs: float
    target_ratio: float | None = None
    limit: float | None = None
    unit: Unit = "ms"

    @property
    def ratio(self) -> float:
        """Ratio of ours to the peer's."""
        return self.ours / self.theirs

    @property
    def met(self) -> bool:
        """True if all targets are reached."""
        quick = self.target_ratio is None or self.ratio <= self.target_ratio
        return quick and (self.limit is None or self.ours <= self.limit)

    def shown(self, value: float) -> str:
        """Format a value of this row with its unit."""
        return f"{value * 1e3:.2f} ms" if self.unit == "ms" else f"{value:.1f} {self.unit}"

    @property
    def wanted(self) -> str:
        """Targets of the row, as text."""
        targets = []
        if self.target_ratio is not None:
            targets.append(f"{self.target_ratio:.3g} x")
        if self.limit is not None:
            targets.append(self.shown(self.limit))
        return ", ".join(targets) or "-"
