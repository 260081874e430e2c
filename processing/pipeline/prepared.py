"""A raw series, repaired and checked, and its images in the sampling that is asked for.

Large images are read from the disk one at a time. The object is found in bins of the whole field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.align.geometry import check_geometry
from processing.images.isolate import Isolated, Surroundings, isolate_object
from processing.images.prepare import upright_contrast, with_repairs_noted
from processing.images.repair_pixels import Repairs, repair_stored
from processing.images.stored_images import StoredImages
from processing.pipeline.sampling import (
    field_sampling,
    read_sampled,
    sampled,
    turned,
    within_field,
)
from processing.pipeline.settings import ProcessSettings
from processing.results import Sampling
from processing.series import Bools, Float32, TiltSeries


@dataclass(frozen=True, eq=False)
class PreparedSeries:
    """Series whose images, contrast, tilt axis and angles were checked and corrected.

    Attributes
    ----------
    overview
        The whole field in bins, with nothing but the object where that was needed.
    field
        Sampling of the overview.
    repaired
        Series as it was read.
    stored
        Its images, with repaired pixels.
    geometry_kept
        False if another tilt axis or other angles were taken than the given ones.
    beside
        Images of the overview with all that lies beside the object; None if nothing does.
    overlapped
        Images in which another object overlaps the one that is counted (`Isolated`).
    """

    overview: TiltSeries
    field: Sampling
    repaired: TiltSeries
    stored: StoredImages
    geometry_kept: bool
    beside: Surroundings | None = None
    overlapped: Bools | None = None

    def at(self, sampling: Sampling) -> Isolated:
        """Return the cropped and binned series; its images are read again if need be."""
        relative = within_field(sampling, self.field)
        if relative is not None:
            beside = self.beside and _sampled_beside(self.beside, self.overview, relative)
            return Isolated(sampled(self.overview, relative), beside, self.overlapped)
        turns = self.overview.quarter_turns
        as_read = turned(sampling, -turns)
        fine = isolate_object(
            upright_contrast(read_sampled(self.repaired, self.stored.read, as_read))
        )
        # what was found in the whole field holds
        images = _rot90(fine.series.images, turns)
        series = replace(self.overview, images=images, pixel_nm=fine.series.pixel_nm)
        beside = fine.beside and _turned_beside(fine.beside, turns)
        return Isolated(series, beside, fine.overlapped)


def _rot90(images: Float32, quarter_turns: int) -> Float32:
    return np.ascontiguousarray(np.rot90(images, quarter_turns, axes=(1, 2)))


def _turned_beside(beside: Surroundings, quarter_turns: int) -> Surroundings:
    images, masks = (_rot90(each, quarter_turns) for each in (beside.images, beside.masks))
    return replace(beside, images=images, masks=masks)


def _sampled_beside(beside: Surroundings, series: TiltSeries, sampling: Sampling) -> Surroundings:
    images, masks = (
        sampled(replace(series, images=each), sampling).images
        for each in (beside.images, beside.masks)
    )
    return replace(beside, images=images, masks=masks)


def prepare_field(series: TiltSeries, settings: ProcessSettings) -> PreparedSeries:
    """Repair a raw series; check contrast, surroundings, tilt axis and angles.

    Raises
    ------
    ProcessingError
        The images contradict the angles, or there is no object where the operator named one.
    """
    stored, repairs = repair_stored(series.images)
    repaired = with_repairs_noted(series, repairs)
    field = field_sampling(series, settings)
    sound = repairs == Repairs()
    overview = sampled(repaired, field) if sound else read_sampled(repaired, stored.read, field)
    isolated = isolate_object(upright_contrast(overview), field.bin)
    checked = _with_checked_geometry(isolated)
    turns = checked.quarter_turns - isolated.series.quarter_turns
    return PreparedSeries(
        checked,
        turned(field, checked.quarter_turns),
        repaired,
        stored,
        geometry_kept=checked is isolated.series,
        beside=isolated.beside and _turned_beside(isolated.beside, turns),
        overlapped=isolated.overlapped,
    )


def _with_checked_geometry(isolated: Isolated) -> TiltSeries:
    """Check tilt axis and angles; images in which another object overlaps say little about them."""
    clear = isolated.clear()
    checked = check_geometry(clear)
    if checked is clear:
        return isolated.series
    return replace(checked, excluded=isolated.series.excluded)
