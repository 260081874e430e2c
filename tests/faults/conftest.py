"""Fixtures of the fault tests."""

from tests.support.processes import start

__all__ = ["start"]
