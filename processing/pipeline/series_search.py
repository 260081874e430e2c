"""Particles of one aligned series: reconstruction and candidates first, then the fit to its images.

The two steps can be taken apart: a growing series is fitted together with another one before it is
fitted alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from processing.align.alignment import Alignment, apply_alignment
from processing.align.series import background_subtracted, linearised
from processing.count.diameter import estimate_diameter, pair_distance, refined_diameter
from processing.device import device
from processing.files.particles import NO_PARTICLES, ParticleTable
from processing.pipeline import search_start
from processing.pipeline.candidates import Candidates, find_candidates
from processing.pipeline.check_diameter import given_diameter_notes, require_resolved_diameter
from processing.pipeline.deformed import deformation_lines
from processing.pipeline.detect import Detection, detect_by_fit, detect_by_weight, kind_notes
from processing.pipeline.detect_bodies import detect_bodies, diameter_of
from processing.pipeline.kind_names import name_notes, named
from processing.pipeline.own_diameters import mean_at_zero, with_statistics
from processing.pipeline.propose_shape import with_proposed_shape
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_summary import (
    left_out_images,
    series_warnings,
    summarise_alignment,
)
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.suspect_angles import with_suspected_angles
from processing.progress import Progress, silent, within
from processing.reconstruct.sirt import sirt_series
from processing.results import Diameter, SeriesSummary, Verdict
from processing.scratch import Allocate, in_memory
from processing.series import Bools, Float32, TiltSeries

FIT_ROUNDS = 2
"""Rounds of the sphere fit to a single series while it is recorded: the count is nearly final."""
THOROUGH_ROUNDS = 4
"""Largest number of rounds otherwise. More follow with the places that are proposed then
(`processing/pipeline/proposals.py`)."""


@dataclass(frozen=True, eq=False)
class SeriesResult:
    """Result of one series.

    Attributes
    ----------
    aligned
        Aligned images in use, with background subtracted and saturation not corrected.
    volume
        SIRT reconstruction, [z, y, x].
    detection
        Sphere centres, particle table and count.
    diameter
        Diameter used for the detection, and its source.
    summary
        Entry of this series in summary.json.
    warnings
        Notes and doubts of the input, and one line for each image left out.
    beside
        Particles beside the object; they are listed, but not counted.
    """

    aligned: TiltSeries
    volume: Float32
    detection: Detection
    diameter: Diameter
    summary: SeriesSummary
    warnings: tuple[str, ...] = ()
    beside: ParticleTable = NO_PARTICLES


@dataclass(frozen=True, eq=False)
class SeriesSearch:
    """Reconstruction of an aligned series, and the candidates for its particles.

    Attributes
    ----------
    series
        Images before the alignment.
    aligned
        As in `SeriesResult`.
    linear
        The same images in proportion to the thickness.
    volume
        SIRT reconstruction, [z, y, x].
    candidates
        Candidates for spheres; None where bodies of a given shape are to be found.
    diameter_nm
        Diameter of the candidates.
    started
        True if the candidates start at places that were fitted.
    warnings
        Notes and doubts of the input, and one line for each image left out.
    """

    series: TiltSeries
    aligned: TiltSeries
    linear: TiltSeries
    volume: Float32
    candidates: Candidates | None
    diameter_nm: float
    started: bool
    summary: SeriesSummary
    warnings: tuple[str, ...]
    settings: ProcessSettings


def find_particles(
    series: TiltSeries,
    alignment: Alignment,
    settings: ProcessSettings,
    *,
    overlapped: Bools | None = None,
    start: SearchStart | None = None,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> SeriesResult:
    """Reconstruct an aligned series, and find spheres or the bodies of a given shape.

    Parameters
    ----------
    overlapped
        Excluded images in which another object overlaps, [tilt]: one line names them all.
    start
        Result of most of these images to start from; None to start from nothing.
    """
    search = search_series(
        series,
        alignment,
        settings,
        overlapped=overlapped,
        start=start,
        allocate=allocate,
        progress=within(progress, 0.0, 0.7),
    )
    return fit_series(search, progress=within(progress, 0.7, 1.0))


def search_series(
    series: TiltSeries,
    alignment: Alignment,
    settings: ProcessSettings,
    *,
    overlapped: Bools | None = None,
    start: SearchStart | None = None,
    allocate: Allocate = in_memory,
    progress: Progress = silent,
) -> SeriesSearch:
    """Reconstruct an aligned series and find its candidates, the diameter too if it is not given.

    Parameters are those of `find_particles`.
    """
    processor = device(settings.device)
    left_out = left_out_images(series, alignment, overlapped)
    aligned = apply_alignment(background_subtracted(series), alignment).usable()
    linear = linearised(aligned)
    volume = sirt_series(
        linear,
        settings.sirt_iterations if start is None else search_start.SIRT_ITERATIONS,
        start=None if start is None else start.volume,
        momentum=True,
        device=processor,
        allocate=allocate,
        progress=within(progress, 0.0, 0.5),
    )
    candidates, diameter_nm = None, settings.known_diameter_nm
    if settings.body is None:
        if diameter_nm is None:
            estimate = estimate_diameter(
                volume,
                linear,
                device=processor,
                allocate=allocate,
                progress=within(progress, 0.5, 0.7),
            )
            require_resolved_diameter(series, estimate.value_px)
            diameter_nm = estimate.value_px * series.pixel_nm
        if start is not None and not start.holds_for(diameter_nm):
            start = None
        candidates = find_candidates(
            volume,
            diameter_nm,
            series.pixel_nm,
            iterations=settings.ssr_iterations,
            start=start,
            device=processor,
            allocate=allocate,
            progress=within(progress, 0.7, 1.0),
        )
    assert diameter_nm is not None  # a body has its width
    return SeriesSearch(
        series,
        aligned,
        linear,
        volume,
        candidates,
        diameter_nm,
        start is not None,
        summarise_alignment(series, alignment, left_out),
        tuple(series_warnings(series, left_out)),
        settings,
    )


def fit_series(search: SeriesSearch, *, progress: Progress = silent) -> SeriesResult:
    """Select the particles among the candidates by a fit to the images of the series."""
    name = search.series.name
    if search.candidates is None:
        detection, diameter = _fit_bodies(search, progress)
    else:
        detection, diameter = _fit_spheres(search, search.candidates, progress)
        detection = with_proposed_shape(
            detection, search.volume, search.series.pixel_nm, diameter.value, alone=True
        )
    detection = with_suspected_angles(detection, search.series.angle_reasons)
    return SeriesResult(
        search.aligned,
        search.volume,
        detection,
        named(diameter, search.settings.particles),
        search.summary.model_copy(update={"deformation": detection.deformed.get(name)}),
        (
            *search.warnings,
            *detection.left_out,
            *deformation_lines(detection.deformed),
            *(f"series {name}: {line}" for line in detection.loose),
            *kind_notes(f"series {name}", detection.kinds),
            *name_notes(f"series {name}", diameter, search.settings.particles),
            *(f"series {name}: {line}" for line in _doubts_of_given(search, detection)),
        ),
        detection.beside,
    )


def _doubts_of_given(search: SeriesSearch, detection: Detection) -> list[str]:
    """Return a line if particles of one size have another diameter than the given one."""
    given_nm, is_refused = search.settings.diameter_nm, detection.count.is_refused
    if given_nm is None or search.candidates is None or detection.kinds or is_refused:
        return []
    return given_diameter_notes(search.linear, detection.table.centres_nm, given_nm)


def select_by_weight(search: SeriesSearch, verdict: Verdict | None) -> SeriesResult | None:
    """Select the particles by their weight in the volume alone; None where bodies are searched.

    This takes no time, but finds fewer particles on the blurred side.

    Parameters
    ----------
    verdict
        Verdict on an earlier count of the series: without a fit there is no new one.
    """
    if search.candidates is None:
        return None
    detection = detect_by_weight(search.candidates, search.diameter_nm)
    count = detection.count.model_copy(update={"verdict": verdict})
    return SeriesResult(
        search.aligned,
        search.volume,
        replace(detection, count=count),
        Diameter(value=search.diameter_nm, source="given"),
        search.summary,
        search.warnings,
    )


def _fit_bodies(search: SeriesSearch, progress: Progress) -> tuple[Detection, Diameter]:
    """Find bodies of the given shape."""
    body = search.settings.body
    assert body is not None
    detection = detect_bodies(
        search.volume,
        [(search.aligned, None)],
        body,
        doubts=search.series.doubts,
        device=device(search.settings.device),
        progress=progress,
    )
    return detection, diameter_of(body)


def _fit_spheres(
    search: SeriesSearch, candidates: Candidates, progress: Progress
) -> tuple[Detection, Diameter]:
    """Fit spheres; estimate their diameter again, from the final centres, if it is not given."""
    settings, diameter_nm, scale_se = search.settings, search.diameter_nm, None
    detection = detect_by_fit(
        candidates,
        [(search.aligned, None)],
        diameter_nm,
        rounds=_rounds(search),
        own_diameters=settings.own_diameters,
        position_errors=settings.analysis,
        second_size=settings.second_size,
        propose=settings.thorough,
        doubts=search.series.doubts,
        device=device(settings.device),
        progress=progress,
    )
    if detection.kinds:
        diameter_nm = detection.kinds[0].diameter_nm
    elif settings.known_diameter_nm is None:
        pixel_nm = search.series.pixel_nm
        found = refined_diameter(
            search.linear, detection.table.centres_nm / pixel_nm, diameter_nm / pixel_nm
        )
        diameter_nm = pixel_nm * found.value_px
        scale_se = found.error_nm(pixel_nm)
        detection = detection.with_mean_diameter(mean_at_zero(diameter_nm, detection.table))
    diameter = Diameter(
        value=diameter_nm,
        source="estimated" if settings.known_diameter_nm is None else "given",
        from_pair_distance=pair_distance(detection.table.centres_nm),
        kinds=list(detection.kinds),
        scale_se=scale_se,
    )
    return detection, with_statistics(diameter, detection.table)


def _rounds(search: SeriesSearch) -> int:
    """Return the largest number of rounds of the fit."""
    if search.settings.thorough:
        return THOROUGH_ROUNDS
    return search_start.FIT_ROUNDS if search.started else FIT_ROUNDS
