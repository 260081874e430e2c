"""Fixtures of these tests."""

from tests.support.processes import start

__all__ = ["start"]
