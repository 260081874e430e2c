"""Survey of the flipped grid: the width of its maps, their distance and their number."""

from __future__ import annotations

import math

from controller.model.scan import ScanSettings

WIDE = 4
"""Width of the search image, in frames: a lost object is searched for there."""
MAP_FIELDS = {"low": 4 * WIDE, "middle": WIDE}
"""Width of a survey map at each magnification, in frames."""
SURVEY_OVERLAP = 0.2
"""Overlap of neighbouring maps of the survey after a flip, as a fraction of their width."""
MAX_SURVEY_MAPS = 1000
"""Most maps of a survey: at about 4 s a map they take over an hour."""


def survey_step_nm(scan: ScanSettings) -> float:
    """Return the distance of neighbouring maps of the survey, from the scan of one map (nm)."""
    return (1 - SURVEY_OVERLAP) * scan.pixel_nm * min(scan.width_px, scan.height_px)


def estimate_maps(reach_nm: float, scan: ScanSettings) -> int:
    """Return about how many maps cover a disc of radius `reach_nm`, from the scan of a frame."""
    step_nm = MAP_FIELDS["low"] * survey_step_nm(scan)
    return math.ceil(math.pi * (reach_nm / step_nm + 1 / math.sqrt(2)) ** 2)
