"""Check of the particle diameter: a given one before any work, an estimated one before the fit."""

from __future__ import annotations

from processing.errors import ImpossibleDiameterError, ProcessingError
from processing.image_size import SMALLEST_DIAMETER_PX, diameter_refusal
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


def require_resolved_diameter(series: TiltSeries, estimated_px: float) -> None:
    """Check that the diameter found in the images is not that of single wrong pixels or of noise.

    Raises
    ------
    ProcessingError
        The diameter is under two pixels.
    """
    if estimated_px < SMALLEST_DIAMETER_PX:
        raise ProcessingError(
            f"series {series.name}: what repeats in the images is {estimated_px:.1f} pixels wide: "
            "noise, or wrong pixels; give the particles' diameter with --diameter-nm, or record "
            "finer pixels"
        )
