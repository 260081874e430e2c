"""Crash points for tests: every durable write names the moment before it and after it."""

from __future__ import annotations

from collections.abc import Callable

CrashPoint = Callable[[str], None]
"""Function called with the name of the moment; a test ends the process there."""


def no_crash(name: str) -> None:
    """Continue: the crash point of every real session."""
