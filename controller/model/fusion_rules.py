"""Fusion rules by name; `processing.results.FusionRule` has the same names."""

from __future__ import annotations

from enum import StrEnum


class FusionRule(StrEnum):
    """Rules that fuse the volumes of A and B; docs/decisions explains the default."""

    MASKED = "masked"
    """Haar detail with the larger activity, after a majority filter; the default."""
    PAPER = "paper"
    """Signed maximum of every Haar band, as printed in the paper."""
    MEAN = "mean"
    """Plain mean of both volumes."""
    DEPTH_WEIGHTED = "depth-weighted"
    """Mean weighted by the distance from the side where each beam leaves."""
