"""Fixtures of these tests."""

from tests.support.folders import private_folder

__all__ = ["private_folder"]
