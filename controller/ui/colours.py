"""Colours with a meaning; a sign or a word always gives the same meaning without colour."""

from __future__ import annotations

GOOD = "#8cbf88"
WARNING = "#e3a857"
BAD = "bold reverse #e0705f"
