"""Refuse a given diameter that no particle in the field can have, before it is counted by."""

from __future__ import annotations

from processing.errors import ProcessingError
from processing.series import TiltSeries

SMALLEST_PX = 2.0
"""A smaller sphere is a pixel: every speck of noise would be one."""
LARGEST_SHARE = 0.5
"""Of the field's smaller side: a larger sphere is the whole assembly, not one of its particles."""


class ImpossibleDiameterError(ProcessingError):
    """The diameter that was given and the field of view do not go together."""


def require_possible_diameter(series: TiltSeries, diameter_nm: float | None) -> None:
    """Check a given diameter against the series' field; None, to be estimated, is fine.

    Raises
    ------
    ImpossibleDiameterError
        Under two pixels, or more than half of the field's smaller side.
    """
    smallest_nm = SMALLEST_PX * series.pixel_nm
    largest_nm = LARGEST_SHARE * min(series.images.shape[1:]) * series.pixel_nm
    if diameter_nm is not None and not smallest_nm <= diameter_nm <= largest_nm:
        raise ImpossibleDiameterError(
            f"series {series.name}: no particle here can be {diameter_nm:g} nm in diameter; at "
            f"{series.pixel_nm:.4g} nm a pixel in a field {2 * largest_nm:.4g} nm wide, give "
            f"{smallest_nm:.4g} to {largest_nm:.4g} nm, or leave it out to have it estimated"
        )
