"""A raw series, repaired and checked, and its images in the sampling that is asked for.

Large images are read from the disk one at a time. The object is found in bins of the whole field.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.align.geometry import check_geometry
from processing.images.isolate import isolate_object
from processing.images.prepare import upright_contrast, with_repairs_noted
from processing.images.repair_pixels import repair_stored
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
from processing.series import TiltSeries


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
    """

    overview: TiltSeries
    field: Sampling
    repaired: TiltSeries
    stored: StoredImages
    geometry_kept: bool

    def at(self, sampling: Sampling) -> TiltSeries:
        """Return the cropped and binned series; its images are read again if need be."""
        relative = within_field(sampling, self.field)
        if relative is not None:
            return sampled(self.overview, relative)
        turns = self.overview.quarter_turns
        as_read = turned(sampling, -turns)
        fine = isolate_object(
            upright_contrast(read_sampled(self.repaired, self.stored.read, as_read))
        )
        images = np.ascontiguousarray(np.rot90(fine.images, turns, axes=(1, 2)))
        # what was found in the whole field holds
        return replace(self.overview, images=images, pixel_nm=fine.pixel_nm)


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
    overview = (
        read_sampled(repaired, stored.read, field) if repairs.text() else sampled(repaired, field)
    )
    isolated = isolate_object(upright_contrast(overview), field.bin)
    checked = check_geometry(isolated)
    return PreparedSeries(
        checked,
        turned(field, checked.quarter_turns),
        repaired,
        stored,
        geometry_kept=checked is isolated,
    )
