"""Progress reports of long calls."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Callback that receives the name of the stage and the fraction done, 0 to 1."""


def silent(stage: str, fraction: float) -> None:
    """Report nothing. This is the default progress callback."""


def within(progress: Progress, start: float, end: float) -> Progress:
    """Return a callback for one part of a call, from `start` to `end` of the whole."""

    def report(stage: str, fraction: float) -> None:
        progress(stage, start + (end - start) * fraction)

    return report
