"""Fixtures of these tests."""

from tests.support.folders import private_folder
from tests.support.thermo_column import tem, thermo

__all__ = ["private_folder", "tem", "thermo"]
