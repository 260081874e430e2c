"""One line of the benchmark table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Our time against a peer's on the same problem, measured in the same run."""

    problem: str
    ours_s: float
    peer: str
    peer_s: float
    target_ratio: float | None = None
    """Ours over the peer's, at most; None where the figure is only told."""

    @property
    def ratio(self) -> float:
        """Ours over the peer's."""
        return self.ours_s / self.peer_s

    @property
    def met(self) -> bool:
        """True where there is no target or it is reached."""
        return self.target_ratio is None or self.ratio <= self.target_ratio
