"""The few colours that carry meaning; a mark or a word always says the same without them."""

from __future__ import annotations

GOOD = "#8cbf88"
WARNING = "#e3a857"
BAD = "bold reverse #e0705f"
