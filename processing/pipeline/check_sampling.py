"""Check of a given crop and bin before any work."""

from __future__ import annotations

from processing.errors import ImpossibleSamplingError
from processing.image_size import bin_refusal, crop_refusal
from processing.pipeline.settings import ProcessSettings
from processing.series import TiltSeries


def require_possible_sampling(series: TiltSeries, settings: ProcessSettings) -> None:
    """Check that the given crop and bin fit the recorded images.

    Raises
    ------
    ImpossibleSamplingError
        The crop reaches beyond the images, or the bin leaves too few pixels.
    """
    rows, columns = series.images.shape[1:]
    crop = settings.crop_px or (0, 0, columns, rows)
    refusal = crop_refusal(columns, rows, crop) or bin_refusal(crop[2], crop[3], settings.bin or 1)
    if refusal:
        raise ImpossibleSamplingError(f"series {series.name}: {refusal}")
