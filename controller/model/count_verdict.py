"""Verdict on a count; `processing.results.Verdict` has the same states."""

from __future__ import annotations

from enum import StrEnum

from controller.model.base import Data


class Trust(StrEnum):
    """Trust that a count deserves; docs/decisions explains the states."""

    TRUSTED = "trusted"
    """The images are explained by the particles found; the interval is a 95 % interval."""
    DOUBTFUL = "doubtful"
    """A part of the images does not fit; the interval is no 95 % interval."""
    REFUSED = "refused"
    """The particles found do not explain the images; the count means nothing."""


def interval_in_words(state: Trust, low: object, high: object) -> str:
    """Return the interval of a count by its trust, in the same words everywhere.

    Parameters
    ----------
    low, high
        Ends of the interval, as numbers or as text.
    """
    match state:
        case Trust.TRUSTED:
            return f"95 % interval {low} to {high}"
        case Trust.DOUBTFUL:
            return f"doubtful: the true number may lie outside {low} to {high}"
        case Trust.REFUSED:
            return "refused"


class CountVerdict(Data):
    """Trust in a count, with its reasons."""

    state: Trust
    reasons: tuple[str, ...] = ()
    """One line for each reason, the gravest first."""
    causes: tuple[str, ...] = ()
    """Name of the cause of each reason, as in `processing.results.Cause`."""

    @property
    def line(self) -> str:
        """State and gravest reason in one line."""
        return f"{self.state}: {self.reasons[0]}" if self.reasons else str(self.state)
