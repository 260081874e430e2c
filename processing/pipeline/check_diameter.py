"""Check of a given particle diameter against pixel size and field of view, before any work."""

from __future__ import annotations

from processing.errors import ImpossibleDiameterError
from processing.image_size import diameter_refusal
from processing.series import TiltSeries


def require_possible_diameter(series: TiltSeries, diameter_nm: float | None) -> None:
    """Check that particles in the field can have the given diameter.

    None passes: the diameter is then estimated.

    Raises
    ------
    ImpossibleDiameterError
        The diameter is under two pixels, or over half of the smaller side of the field.
    """
    rows, columns = series.images.shape[1:]
    if refusal := diameter_refusal(columns, rows, series.pixel_nm, diameter_nm):
        raise ImpossibleDiameterError(f"series {series.name}: {refusal}")
