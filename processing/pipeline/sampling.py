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
from processing.images.binning import block_mean
from processing.parallel import worker_threads
from processing.pipeline.memory import fits_memory
from processing.pipeline.object_region import Crop, object_region
from processing.pipeline.settings import ProcessSettings
from processing.results import Sampling
from processing.series import TiltSeries

SMALL_SIDE_PX = 416
"""Largest side of images that are processed as they were recorded."""
USUAL_SIDE_PX = 448
"""Side to which the object's region is binned as long as particles keep `LEAST_DIAMETER_PX`."""
LEAST_DIAMETER_PX = 7.0
"""Smallest diameter after binning. The fit of spheres reduces finer images to this diameter."""
FEWEST_DIAMETER_PX = 4.5
"""Diameter below which a warning is given: neighbours are no longer told apart well."""
AMPLE_DIAMETER_PX = 10.0
"""Diameter beyond which images are binned although they are not large."""
SMALLEST_SIDE_PX = 16
"""Smallest side of a region (px)."""


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
    _require_inside(crop, series)
    factor = settings.bin
    if factor is None:
        diameter_px = settings.diameter_nm and settings.diameter_nm / series.pixel_nm
        factor = _binning(crop, diameter_px, settings) if large else 1
    return _sampling((columns, rows), crop, factor, series.name)


def finer_sampling(
    sampling: Sampling, diameter_px: float, settings: ProcessSettings
) -> Sampling | None:
    """Return a finer sampling if the particles need it; `diameter_px` is in recorded pixels."""
    if settings.bin is not None or diameter_px >= LEAST_DIAMETER_PX * sampling.bin:
        return None
    factor = _binning(sampling.crop_px, diameter_px, settings)
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


def _binning(crop: Crop, diameter_px: float | None, settings: ProcessSettings) -> int:
    """Choose the binning of a region for particles of this diameter, in recorded pixels."""
    _, _, width, height = crop
    factor = -(-max(width, height) // USUAL_SIDE_PX)
    if diameter_px is not None:
        enough = max(1, int(diameter_px / LEAST_DIAMETER_PX))
        factor = max(min(factor, enough), int(diameter_px / AMPLE_DIAMETER_PX))
    limit_GB = settings.memory_limit_GB
    while not fits_memory((width // factor, height // factor, width // factor), limit_GB):
        factor += 1
    return factor


def _sampling(recorded_px: tuple[int, int], crop: Crop, factor: int, name: str) -> Sampling:
    """Return the sampling with a crop of whole bins, about the same centre."""
    x, y, width, height = crop
    columns, rows = width // factor, height // factor
    if min(columns, rows) < SMALLEST_SIDE_PX:
        raise ProcessingError(
            f"series {name}: bin {factor} leaves {columns} x {rows} px; choose a smaller one"
        )
    left, top = (width - columns * factor) // 2, (height - rows * factor) // 2
    crop_px = x + left, y + top, columns * factor, rows * factor
    return Sampling(recorded_px=recorded_px, crop_px=crop_px, bin=factor)


def _require_inside(crop: Crop, series: TiltSeries) -> None:
    x, y, width, height = crop
    rows, columns = series.images.shape[1:]
    inside = min(x, y) >= 0 and x + width <= columns and y + height <= rows
    if not inside or min(width, height) < SMALLEST_SIDE_PX:
        raise ProcessingError(
            f"series {series.name}: crop {width} x {height} px from column {x}, row {y} does not "
            f"fit images of {columns} x {rows} px; give column, row, width and height inside them, "
            f"at least {SMALLEST_SIDE_PX} px each way"
        )
