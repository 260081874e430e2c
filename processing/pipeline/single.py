"""Processing of one tilt series, from raw images to particles."""

from __future__ import annotations

from dataclasses import replace

from processing.align.alignment import Alignment
from processing.align.series import align_series
from processing.device import device
from processing.errors import ProcessingError
from processing.images.isolate import Isolated, Surroundings
from processing.pipeline.check_diameter import require_possible_diameter
from processing.pipeline.check_series import require_tilt_series
from processing.pipeline.memory import SINGLE_VOLUMES, allocator
from processing.pipeline.neighbours import without_neighbours
from processing.pipeline.prepared import PreparedSeries, prepare_field
from processing.pipeline.sampling import (
    choose_sampling,
    finer_sampling,
    in_sampled_pixels,
    sampling_notes,
)
from processing.pipeline.series_search import SeriesResult, find_particles
from processing.pipeline.series_summary import summary_in_recorded_pixels
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.unshadowed import with_unshadowed_parts
from processing.progress import Progress, silent, within
from processing.results import Sampling, Trust
from processing.scratch import Allocate
from processing.series import TiltSeries


def process_series(
    series: TiltSeries,
    settings: ProcessSettings,
    *,
    start: Alignment | None = None,
    progress: Progress = silent,
) -> SeriesResult:
    """Align, correct the saturation, reconstruct, estimate the diameter and find the particles.

    Parameters
    ----------
    start
        Known alignment of the first images, to start from; see `align_series`.

    Raises
    ------
    InputFileError
        There are fewer than three images, or they are too small or not tilted.
    ImpossibleDiameterError
        No particle in the field can have the given diameter.
    ProcessingError
        Too few images are usable, they are empty, or the volumes exceed the memory limit.
    """
    require_tilt_series(series)
    require_possible_diameter(series, settings.known_diameter_nm)
    prepared = prepare_field(series, settings)
    # shifts for another axis or other angles are of no use
    start = start if prepared.geometry_kept else None
    sampling = choose_sampling(prepared.overview, prepared.field, settings)
    result = _process_sampled(prepared, sampling, settings, start, progress)
    if result.detection.count.is_refused:
        return result  # its diameter is that of noise: finer images would only take longer
    finer = finer_sampling(sampling, result.diameter.value / series.pixel_nm, settings)
    if finer is None:
        return result
    return _process_sampled(prepared, finer, settings, start, progress)


def _process_sampled(
    prepared: PreparedSeries,
    sampling: Sampling,
    settings: ProcessSettings,
    start: Alignment | None,
    progress: Progress,
) -> SeriesResult:
    """Process the cropped and binned images of a series."""
    isolated = prepared.at(sampling)
    small = isolated.series
    rows, columns = small.images.shape[1:]
    allocate = allocator((columns, rows, columns), SINGLE_VOLUMES, settings.memory_limit_GB)
    if start is not None:
        start = in_sampled_pixels(start, sampling)
    clear = isolated.clear()
    alignment = align_series(
        clear, start=start, device=device(settings.device), progress=within(progress, 0.0, 0.4)
    )
    masked_to = 1.0 if isolated.beside is None else 0.55
    result = find_particles(
        clear,
        alignment,
        settings,
        overlapped=clear.excluded & ~small.excluded,
        allocate=allocate,
        progress=within(progress, 0.4, masked_to),
    )
    if isolated.beside is not None and _is_doubtful(result):
        result = _counted_again(
            isolated,
            isolated.beside,
            alignment,
            result,
            settings,
            allocate,
            within(progress, masked_to, 1.0),
        )
    summary = summary_in_recorded_pixels(result.summary, sampling)
    notes = sampling_notes(sampling, small.pixel_nm, result.diameter.value)
    return replace(result, summary=summary, warnings=(*result.warnings, *notes))


def _counted_again(
    isolated: Isolated,
    beside: Surroundings,
    alignment: Alignment,
    result: SeriesResult,
    settings: ProcessSettings,
    allocate: Allocate,
    progress: Progress,
) -> SeriesResult:
    """Count without what lies beside the object, or with more of the overlapped images.

    Returns `result`, the count of the clear images, if neither is possible or both are less
    certain: a model of the neighbours can explain images that are aligned wrongly.
    """
    alone = without_neighbours(
        isolated, beside, alignment, settings, progress=within(progress, 0.0, 0.7)
    )
    shown = within(progress, 0.7, 1.0)
    if alone is not None:
        found = find_particles(
            alone.series, alone.alignment, settings, allocate=allocate, progress=shown
        )
        if not _is_less_certain(found, result):
            return replace(found, beside=alone.beside.followed_by(found.beside))
    parts = with_unshadowed_parts(
        isolated, beside, alignment, result.detection.table.centres_nm, result.diameter.value
    )
    if parts is None:
        return result
    try:
        found = find_particles(
            parts.series,
            parts.alignment,
            settings,
            overlapped=parts.series.excluded & ~isolated.series.excluded,
            allocate=allocate,
            progress=shown,
        )
    except ProcessingError:
        return result
    return result if _is_less_certain(found, result) else found


def _is_doubtful(result: SeriesResult) -> bool:
    verdict = result.detection.count.verdict
    return verdict is not None and verdict.state is Trust.DOUBTFUL


def _is_less_certain(found: SeriesResult, known: SeriesResult) -> bool:
    """Compare a new count with a doubtful one."""
    if found.detection.count.is_refused:
        return True
    return _is_doubtful(found) and _uncertainty(found) > _uncertainty(known)


def _uncertainty(result: SeriesResult) -> int:
    """Return the width of the interval of the count, in particles."""
    return result.detection.count.n_high - result.detection.count.n_low
