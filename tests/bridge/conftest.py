"""Fixtures of the bridge tests."""

from tests.support.folders import private_folder

__all__ = ["private_folder"]
