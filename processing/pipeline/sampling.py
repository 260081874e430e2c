"""Crop and binning of the images to what the particles need.

Time and memory grow with the cube of the image's side, but no step gains from more than about ten
pixels a particle. Small images are processed as they were recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from processing.align.alignment import Alignment
from processing.errors import ImpossibleSamplingError
from processing.image_size import (
    LEAST_DIAMETER_PX,
    SMALL_SIDE_PX,
    Crop,
    bin_refusal,
    choose_bin,
    crop_refusal,
)
from processing.images.binning import block_mean
from processing.images.stored_images import over_images
from processing.pipeline.object_region import object_region
from processing.pipeline.settings import ProcessSettings
from processing.results import Sampling
from processing.series import TiltSeries

FEWEST_DIAMETER_PX = 4.5
"""Diameter below which a warning is given: neighbours are no longer told apart well."""


def field_sampling(series: TiltSeries, settings: ProcessSettings) -> Sampling:
    """Return the sampling of the whole field in which the object is found.

    Most often the results need no finer one, and the images are read only once.
    """
    rows, columns = series.images.shape[1:]
    whole = 0, 0, columns, rows
    factor = _usual_bin(whole, whole, series.pixel_nm, settings)
    return _sampling((columns, rows), whole, factor, series.name)


def choose_sampling(overview: TiltSeries, field: Sampling, settings: ProcessSettings) -> Sampling:
    """Choose crop and binning; `settings.crop_px` and `settings.bin` are used where given.

    Without a given diameter the binning depends on the region's size alone: `finer_sampling` tells
    whether it was too coarse once the diameter is known.

    Parameters
    ----------
    overview, field
        The whole field of the series in bins, and its sampling.

    Raises
    ------
    ImpossibleSamplingError
        The given crop or binning does not fit the images.
    """
    columns, rows = field.recorded_px
    whole = 0, 0, columns, rows
    crop = settings.crop_px or (_recorded_region(overview, field) if _is_large(whole) else whole)
    if refusal := crop_refusal(columns, rows, crop):
        raise ImpossibleSamplingError(f"series {overview.name}: {refusal}")
    factor = settings.bin or _usual_bin(whole, crop, overview.pixel_nm / field.bin, settings)
    return _sampling((columns, rows), crop, factor, overview.name)


def _recorded_region(overview: TiltSeries, field: Sampling) -> Crop:
    """Return the region of the object in recorded pixels."""
    x, y, width, height = (field.bin * side for side in object_region(overview))
    return field.crop_px[0] + x, field.crop_px[1] + y, width, height


def _usual_bin(whole: Crop, crop: Crop, pixel_nm: float, settings: ProcessSettings) -> int:
    """Return the bin that a region of the whole field needs; small images are not binned."""
    if not _is_large(whole):
        return 1
    diameter_px = settings.known_diameter_nm and settings.known_diameter_nm / pixel_nm
    return choose_bin(crop[2], crop[3], diameter_px, settings.memory_limit_GB)


def _is_large(whole: Crop) -> bool:
    return max(whole) > SMALL_SIDE_PX


def finer_sampling(
    sampling: Sampling, diameter_px: float, settings: ProcessSettings
) -> Sampling | None:
    """Return a finer sampling if the particles need it; `diameter_px` is in recorded pixels."""
    if settings.bin is not None or diameter_px >= LEAST_DIAMETER_PX * sampling.bin:
        return None
    _, _, width, height = sampling.crop_px
    factor = choose_bin(width, height, diameter_px, settings.memory_limit_GB)
    if factor >= sampling.bin:
        return None
    return sampling.model_copy(update={"bin": factor})


def binned_field(columns: int, rows: int, factor: int) -> Sampling:
    """Return the sampling of a whole field in bins, without incomplete bins at the far sides."""
    crop_px = 0, 0, columns - columns % factor, rows - rows % factor
    return Sampling(recorded_px=(columns, rows), crop_px=crop_px, bin=factor)


def sampled(series: TiltSeries, sampling: Sampling) -> TiltSeries:
    """Return the cropped and binned series, in memory as float32."""
    if sampling.is_whole and series.images.dtype == np.float32:
        return series
    return read_sampled(series, lambda tilt: series.images[tilt], sampling)


def read_sampled(
    series: TiltSeries, read: Callable[[int], NDArray[np.generic]], sampling: Sampling
) -> TiltSeries:
    """Return a series with cropped and binned images, each read once by `read`."""
    x, y, width, height = sampling.crop_px
    images = np.empty((series.tilts, *sampling.shape), np.float32)

    def sample(tilt: int) -> None:
        images[tilt] = block_mean(read(tilt)[y : y + height, x : x + width], sampling.bin)

    over_images(sample, range(series.tilts))
    region = series.region_px
    if region is not None:
        column, row, radius = region
        region = (column - x) / sampling.bin, (row - y) / sampling.bin, radius / sampling.bin
    return replace(series, images=images, pixel_nm=series.pixel_nm * sampling.bin, region_px=region)


def within_field(sampling: Sampling, field: Sampling) -> Sampling | None:
    """Return a sampling relative to the binned field; None if it needs parts of its pixels."""
    x, y, width, height = sampling.crop_px
    left, top, field_width, field_height = field.crop_px
    places = (x - left, y - top, width, height)
    inside = x >= left and y >= top
    inside &= x + width <= left + field_width and y + height <= top + field_height
    if not inside or any(side % field.bin for side in (*places, sampling.bin)):
        return None
    x, y, width, height = (side // field.bin for side in places)
    rows, columns = field.shape
    return Sampling(
        recorded_px=(columns, rows), crop_px=(x, y, width, height), bin=sampling.bin // field.bin
    )


def turned(sampling: Sampling, quarter_turns: int) -> Sampling:
    """Return the sampling of images after quarter turns, as `numpy.rot90` turns them."""
    for _ in range(quarter_turns % 4):
        (columns, rows), (x, y, width, height) = sampling.recorded_px, sampling.crop_px
        crop_px = y, columns - x - width, height, width
        sampling = Sampling(recorded_px=(rows, columns), crop_px=crop_px, bin=sampling.bin)
    return sampling


def in_sampled_pixels(alignment: Alignment, sampling: Sampling) -> Alignment:
    """Return an alignment of recorded images as that of the cropped and binned ones."""
    return replace(
        alignment,
        shifts_px=(alignment.shifts_px - sampling.offset_px) / sampling.bin,
        residuals_px=alignment.residuals_px / sampling.bin,
    )


def in_recorded_pixels(alignment: Alignment, sampling: Sampling) -> Alignment:
    """Return an alignment of cropped and binned images as that of the recorded ones."""
    return replace(
        alignment,
        shifts_px=alignment.shifts_px * sampling.bin + sampling.offset_px,
        residuals_px=alignment.residuals_px * sampling.bin,
    )


def volume_origin_nm(sampling: Sampling | None, pixel_nm: float) -> tuple[float, float, float]:
    """Return the first voxel (x, y, z) from that of the volume of whole, unbinned images.

    Both volumes have the same centre and are as deep as they are wide.

    Parameters
    ----------
    sampling
        None for whole images.
    pixel_nm
        Size of a processed pixel.
    """
    if sampling is None:
        return 0.0, 0.0, 0.0
    rows, columns = sampling.shape
    recorded_nm = pixel_nm / sampling.bin
    width, height = sampling.recorded_px
    x = ((width - 1) * recorded_nm - (columns - 1) * pixel_nm) / 2
    y = ((height - 1) * recorded_nm - (rows - 1) * pixel_nm) / 2
    return x, y, x


def sampling_notes(sampling: Sampling, pixel_nm: float, diameter_nm: float) -> list[str]:
    """Describe crop and binning in one line each, nothing for whole images.

    Parameters
    ----------
    pixel_nm
        Size of a processed pixel.
    """
    if sampling.is_whole:
        return []
    x, y, width, height = sampling.crop_px
    columns, rows = sampling.recorded_px
    diameter_px = diameter_nm / pixel_nm
    notes = [
        f"processed {width} x {height} of {columns} x {rows} px, from column {x} and row {y}, "
        f"bin {sampling.bin}: pixels of {pixel_nm:.4g} nm, {diameter_px:.1f} to a particle"
    ]
    if diameter_px < FEWEST_DIAMETER_PX:
        notes.append(
            f"particles are only {diameter_px:.1f} px wide: raise the memory limit, "
            "crop to one object, or choose a smaller bin"
        )
    return notes


def _sampling(recorded_px: tuple[int, int], crop: Crop, factor: int, name: str) -> Sampling:
    """Return the sampling with a crop of whole bins, about the same centre."""
    x, y, width, height = crop
    if refusal := bin_refusal(width, height, factor):
        raise ImpossibleSamplingError(f"series {name}: {refusal}")
    left, top = width % factor // 2, height % factor // 2
    crop_px = x + left, y + top, width - width % factor, height - height % factor
    return Sampling(recorded_px=recorded_px, crop_px=crop_px, bin=factor)
