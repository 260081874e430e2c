"""Check of the particle diameter: a given one before any work and after the fit, an estimated one
before the fit.
"""

from __future__ import annotations

from processing.count.diameter import refined_diameter
from processing.errors import ImpossibleDiameterError, ProcessingError
from processing.image_size import SMALLEST_DIAMETER_PX, diameter_refusal
from processing.series import Float64, TiltSeries

GIVEN_WITHIN = 0.05
"""Largest relative difference between a given diameter and that of the images. The estimate of an
assembly of some hundred particles is wrong by about 0.01."""
FEWEST_TO_COMPARE = 20
"""Fewer particles do not tell the mean diameter well enough to doubt a given one."""


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


def given_diameter_notes(linear: TiltSeries, centres_nm: Float64, given_nm: float) -> list[str]:
    """Compare a given diameter with that of the images; return one line if they differ.

    Equal spheres are found with a wrong diameter, too: the count is right then, but all sizes and
    the packing follow the given diameter.

    Parameters
    ----------
    linear
        Aligned series whose images are proportional to the projected thickness.
    centres_nm
        [n, 3], fitted centres of the particles (x, y, z).
    """
    if len(centres_nm) < FEWEST_TO_COMPARE:
        return []
    pixel_nm = linear.pixel_nm
    found = refined_diameter(linear, centres_nm / pixel_nm, given_nm / pixel_nm)
    measured_nm = pixel_nm * found.value_px
    if abs(measured_nm / given_nm - 1) <= GIVEN_WITHIN:
        return []
    return [
        f"the given diameter is {given_nm:.2f} nm, but the images show {measured_nm:.2f} nm; all "
        "sizes and the packing follow the given one: check it, or leave it out"
    ]
