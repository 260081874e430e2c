"""Crop and binning of the images to what the particles need.

Time and memory grow with the cube of the image's side, but no step gains from more than about ten
pixels a particle. Small images are processed as they were recorded.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from processing.align.alignment import Alignment
from processing.errors import ProcessingError
from processing.image_size import (
    LEAST_DIAMETER_PX,
    SMALL_SIDE_PX,
    Crop,
    bin_refusal,
    choose_bin,
    crop_refusal,
)
from processing.images.binning import block_mean
from processing.parallel import worker_threads
from processing.pipeline.object_region import object_region
from processing.pipeline.settings import ProcessSettings
from processing.results import Sampling
from processing.series import TiltSeries

FEWEST_DIAMETER_PX = 4.5
"""Diameter below which a warning is given: neighbours are no longer told apart well."""


def choose_sampling(series: TiltSeries, settings: ProcessSettings) -> Sampling:
    """Choose crop and binning; `settings.crop_px` and `settings.bin` are used where given.

    Without a given diameter the binning depends on the region's size alone: `finer_sampling` tells
    whether it was too coarse once the diameter is known.

    Raises
    ------
    ProcessingError
        The given crop or binning does not fit the images.
    """
    rows, columns = series.images.shape[1:]
    whole = (0, 0, columns, rows)
    large = max(rows, columns) > SMALL_SIDE_PX
    crop = settings.crop_px or (object_region(series) if large else whole)
    if refusal := crop_refusal(columns, rows, crop):
        raise ProcessingError(f"series {series.name}: {refusal}")
    factor = settings.bin
    if factor is None:
        diameter_px = settings.diameter_nm and settings.diameter_nm / series.pixel_nm
        limit_GB = settings.memory_limit_GB
        factor = choose_bin(crop[2], crop[3], diameter_px, limit_GB) if large else 1
    return _sampling((columns, rows), crop, factor, series.name)


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
    x, y, width, height = sampling.crop_px
    images = np.empty((series.tilts, *sampling.shape), np.float32)

    def sample(tilt: int) -> None:
        images[tilt] = block_mean(series.images[tilt, y : y + height, x : x + width], sampling.bin)

    with ThreadPoolExecutor(worker_threads()) as pool:
        for _ in pool.map(sample, range(series.tilts)):
            pass
    return replace(series, images=images, pixel_nm=series.pixel_nm * sampling.bin)


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
        raise ProcessingError(f"series {name}: {refusal}")
    left, top = width % factor // 2, height % factor // 2
    crop_px = x + left, y + top, width - width % factor, height - height % factor
    return Sampling(recorded_px=recorded_px, crop_px=crop_px, bin=factor)
