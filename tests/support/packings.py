"""Packings of equal spheres."""

from __future__ import annotations

from simulator.settings import Packing

OF_EQUAL_SPHERES = tuple(packing for packing in Packing if packing is not Packing.LAVES)
