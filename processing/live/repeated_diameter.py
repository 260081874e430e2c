"""Diameter on which the counts of a growing series agree."""

from __future__ import annotations

from dataclasses import replace

from processing.align.series import linearised
from processing.count.diameter import refined_diameter
from processing.pipeline.own_diameters import mean_at_zero, with_statistics
from processing.pipeline.search_start import SAME_DIAMETER
from processing.pipeline.series_search import SeriesResult


class RepeatedDiameter:
    """Diameter of one growing series, by count after count.

    Two counts in a row that found the same diameter, each by its own scan, spare later ones the
    scan. Each later count measures the diameter again from its own particles. Where it differs, the
    next counts scan again.
    """

    def __init__(self) -> None:
        self._last_nm: float | None = None
        self.agreed_nm: float | None = None
        """Diameter on which the last counts agree; None if they do not."""

    def add(self, diameter_nm: float | None) -> None:
        """Take the diameter of the newest count; None where it is of no use for others."""
        before_nm, self._last_nm = self._last_nm, diameter_nm
        self.agreed_nm = None
        if diameter_nm is None or before_nm is None:
            return
        if abs(diameter_nm / before_nm - 1) <= SAME_DIAMETER:
            self.agreed_nm = diameter_nm


def diameter_of_one_size(result: SeriesResult) -> float | None:
    """Return the diameter; None for a refused count and for particles of several sizes."""
    if result.diameter.kinds or result.detection.count.is_refused:
        return None
    return result.diameter.value


def with_measured_diameter(result: SeriesResult) -> SeriesResult:
    """Measure the diameter of the particles found, if they are of one size."""
    if result.diameter.kinds:
        return result
    pixel_nm = result.aligned.pixel_nm
    found = refined_diameter(
        linearised(result.aligned),
        result.detection.table.centres_nm / pixel_nm,
        result.diameter.value / pixel_nm,
    )
    measured_nm = pixel_nm * found.value_px
    diameter = result.diameter.model_copy(
        update={
            "value": measured_nm,
            "source": "estimated",
            "scale_se": found.error_nm(pixel_nm),
        }
    )
    mean_nm = mean_at_zero(measured_nm, result.detection.table)
    detection = result.detection.with_mean_diameter(mean_nm)
    diameter = with_statistics(diameter, detection.table)
    return replace(result, diameter=diameter, detection=detection)
