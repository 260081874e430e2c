"""Outcome of an experiment: counts, their verdicts, and their scores against the truth."""

from __future__ import annotations

from pydantic import Field

from controller.model.base import Data
from controller.model.count_verdict import Trust
from controller.rehearsal.accuracy_checks import Score


class CountOutcome(Data):
    """Count of one series, or of both, with its score."""

    n: int
    n_low: int
    n_high: int
    verdict: Trust
    score: Score

    def holds(self, truth: int) -> bool:
        """Tell whether the interval holds the true number."""
        return self.n_low <= truth <= self.n_high


class Outcome(Data):
    """Result of one experiment.

    Attributes
    ----------
    version
        Version of dualtilt that made it.
    counts
        By ``A``, ``B`` and ``fused``; those that could not be made are missing.
    shrinkage
        Shrinkage of the specimen from A to B, as the registration found it; None without B.
    resolution_nm
        Resolution of the volumes by Fourier shell correlation, over all directions (nm), by ``A``,
        ``B`` and ``fused``; empty if it was not measured.
    failure
        Reason why a count is missing; empty if none is.
    """

    experiment: str
    version: str
    truth: int
    counts: dict[str, CountOutcome]
    shrinkage: float | None = None
    resolution_nm: dict[str, float] = Field(default_factory=dict)
    failure: str = ""
    duration_s: float
