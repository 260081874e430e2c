"""Search of the count before, from which the next count of a growing series starts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.align.alignment import Alignment
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_search import SeriesResult
from processing.results import Sampling

LEAST_SHARE = 0.85
"""Smallest share of the images that the search before must have had. After fewer tilts, particles
in wrong places stay for too long: 40 images from the search of 32 had F1 0.935 instead of 0.969."""
LARGEST_MOVE = 0.1
"""Largest rms change of the shifts of its images, in diameters. The volume of an object displaced
by more needs as many iterations as a new one."""
LARGEST_TURN_DEG = 0.5
"""Largest change of the tilt axis."""


@dataclass(frozen=True, eq=False)
class EarlierSearch:
    """Result of the last count, with the alignment and the part of the images that it used.

    Attributes
    ----------
    alignment
        Alignment of all images given, in the pixels in which they were counted.
    """

    result: SeriesResult
    alignment: Alignment
    sampling: Sampling

    def start(self, alignment: Alignment, sampling: Sampling) -> SearchStart | None:
        """Return the start for images with this alignment; None if they differ too much."""
        found = self.result.detection
        if found.count.is_refused or self.result.diameter.kinds or sampling != self.sampling:
            return None
        if not self._is_nearly(alignment):
            return None
        diameter_nm = self.result.diameter.value
        return SearchStart(self.result.volume, found.centres, found.table.centres_nm, diameter_nm)

    def _is_nearly(self, alignment: Alignment) -> bool:
        """Return true if most images are known, nearly in the same places, and all still in use."""
        known, rejected = len(self.alignment.shifts_px), self.alignment.rejected
        if known < LEAST_SHARE * len(alignment.shifts_px):
            return False
        if (rejected != alignment.rejected[:known]).any():
            return False
        moves_px = (alignment.shifts_px[:known] - self.alignment.shifts_px)[~rejected]
        rms_px = float(np.sqrt((moves_px**2).sum(axis=1).mean()))
        turn_deg = abs(alignment.tilt_axis_deg - self.alignment.tilt_axis_deg)
        diameter_px = self.result.diameter.value / self.result.aligned.pixel_nm
        return rms_px <= LARGEST_MOVE * diameter_px and turn_deg <= LARGEST_TURN_DEG
