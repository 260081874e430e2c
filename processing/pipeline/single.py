"""One tilt series, from raw images to its particles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.align.alignment import Alignment, apply_alignment
from processing.align.series import align_series, levelled, straightened
from processing.count.diameter import estimate_diameter, pair_distance, refined_diameter
from processing.pipeline.check_diameter import require_possible_diameter
from processing.pipeline.detect import Detection, find_candidates, fitted
from processing.pipeline.memory import SINGLE_VOLUMES, allocator
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent, within
from processing.reconstruct.sirt import sirt_series
from processing.results import Diameter, SeriesSummary
from processing.scratch import Allocate, in_memory
from processing.series import Float32, TiltSeries

FIT_ROUNDS = 2
"""Of the sphere fit to a series alone: a third changes its count by no more than one in a hundred
of what the second does."""


@dataclass(frozen=True, eq=False)
class SeriesResult:
    """What one series gives.

    Attributes
    ----------
    aligned
        The images in use, aligned, without background, saturation left in.
    volume
        SIRT, [z, y, x].
    detection
        Sphere centres, particle table, count.
    diameter
        Used for the detection, and where it came from.
    summary
        For summary.json.
    warnings
        One line each.
    """

    aligned: TiltSeries
    volume: Float32
    detection: Detection
    diameter: Diameter
    summary: SeriesSummary
    warnings: tuple[str, ...] = ()


def process_series(
    series: TiltSeries,
    settings: ProcessSettings,
    *,
    start: Alignment | None = None,
    progress: Progress = silent,
) -> SeriesResult:
    """Align, undo the saturation, reconstruct, find the diameter, find the particles.

    Parameters
    ----------
    start
        As in `align_series`: what is known of the alignment already.

    Raises
    ------
    ImpossibleDiameterError
        No particle in this field can have the given diameter.
    ProcessingError
        Too few usable images, nothing in them, or volumes beyond the memory limit.
    """
    require_possible_diameter(series, settings.diameter_nm)
    rows, columns = series.images.shape[1:]
    allocate = allocator((columns, rows, columns), SINGLE_VOLUMES, settings.memory_limit_GB)
    alignment = align_series(series, start=start, progress=within(progress, 0.0, 0.4))
    return find_particles(
        series, alignment, settings, allocate=allocate, progress=within(progress, 0.4, 1.0)
    )


def find_particles(
    series: TiltSeries,
    alignment: Alignment,
    settings: ProcessSettings,
    *,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> SeriesResult:
    """What follows on an alignment: the reconstruction, the diameter, the particles."""
    aligned = apply_alignment(levelled(series), alignment).usable()
    straight = straightened(aligned)
    volume = sirt_series(
        straight,
        settings.sirt_iterations,
        momentum=True,
        allocate=allocate,
        progress=within(progress, 0.0, 0.35),
    )
    diameter_nm = settings.diameter_nm
    if diameter_nm is None:
        estimate = estimate_diameter(
            volume, straight, allocate=allocate, progress=within(progress, 0.35, 0.5)
        )
        diameter_nm = estimate.value_px * series.pixel_nm
    candidates = find_candidates(
        volume,
        diameter_nm,
        series.pixel_nm,
        iterations=settings.ssr_iterations,
        allocate=allocate,
        progress=within(progress, 0.5, 0.7),
    )
    detection = fitted(
        candidates,
        [(aligned, None)],
        diameter_nm,
        rounds=FIT_ROUNDS,
        progress=within(progress, 0.7, 1.0),
    )
    if settings.diameter_nm is None:
        # once more, from the final centres
        diameter_nm = series.pixel_nm * refined_diameter(
            straight, detection.table.centres_nm / series.pixel_nm, diameter_nm / series.pixel_nm
        )
        detection = detection.of_diameter(diameter_nm)
    diameter = Diameter(
        value=diameter_nm,
        source="estimated" if settings.diameter_nm is None else "given",
        from_pair_distance=pair_distance(detection.table.centres_nm),
    )
    return SeriesResult(
        aligned,
        volume,
        detection,
        diameter,
        _summary(alignment),
        tuple(_warnings(series, alignment)),
    )


def _summary(alignment: Alignment) -> SeriesSummary:
    return SeriesSummary(
        tilts=int((~alignment.rejected).sum()),
        excluded=[int(index) for index in np.flatnonzero(alignment.rejected)],
        align_rms_px=alignment.rms_px,
        tilt_axis_deg=alignment.tilt_axis_deg,
    )


def _warnings(series: TiltSeries, alignment: Alignment) -> list[str]:
    return [
        f"series {series.name}: image {index} at {series.angles_deg[index]:+.1f} degrees left out, "
        f"{'as marked' if series.excluded[index] else 'it fits no common object'}"
        for index in np.flatnonzero(alignment.rejected)
    ]
