"""How long-running calls report where they are."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the stage's name and the fraction of it done, 0..1."""


def silent(stage: str, fraction: float) -> None:
    """Report nothing: the default of every call."""


def within(progress: Progress, start: float, end: float) -> Progress:
    """Map a part's 0..1 onto `start`..`end` of the whole."""

    def report(stage: str, fraction: float) -> None:
        progress(stage, start + (end - start) * fraction)

    return report
