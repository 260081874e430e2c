"""Where a test may kill the process: every durable write names the moment before and after it."""

from __future__ import annotations

from collections.abc import Callable

CrashPoint = Callable[[str], None]
"""Called with the name of the moment; a test's own ends the process there."""


def no_crash(name: str) -> None:
    """Go on: what every real session uses."""
