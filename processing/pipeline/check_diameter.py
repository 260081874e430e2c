"""Check of a given particle diameter against pixel size and field of view, before any work."""

from __future__ import annotations

from processing.errors import ImpossibleDiameterError
from processing.series import TiltSeries

SMALLEST_PX = 2.0
"""Smallest diameter (px). A smaller sphere is one pixel, and all noise would count as particles."""
LARGEST_SHARE = 0.5
"""Largest diameter, as a fraction of the smaller side of the field.

A larger sphere is the whole assembly, not one of its particles.
"""


def require_possible_diameter(series: TiltSeries, diameter_nm: float | None) -> None:
    """Check that particles in the field can have the given diameter.

    None passes: the diameter is then estimated.

    Raises
    ------
    ImpossibleDiameterError
        The diameter is under two pixels, or over half of the smaller side of the field.
    """
    smallest_nm = SMALLEST_PX * series.pixel_nm
    largest_nm = LARGEST_SHARE * min(series.images.shape[1:]) * series.pixel_nm
    if diameter_nm is not None and not smallest_nm <= diameter_nm <= largest_nm:
        raise ImpossibleDiameterError(
            f"series {series.name}: no particle here can be {diameter_nm:g} nm in diameter; at "
            f"{series.pixel_nm:.4g} nm a pixel in a field {2 * largest_nm:.4g} nm wide, give "
            f"{smallest_nm:.4g} to {largest_nm:.4g} nm, or omit the diameter to have it estimated"
        )
