"""Processing of one tilt series, from raw images to particles."""

from __future__ import annotations

from dataclasses import dataclass, replace

from processing.align.alignment import Alignment, apply_alignment
from processing.align.series import align_series, background_subtracted, linearised
from processing.count.diameter import estimate_diameter, pair_distance, refined_diameter
from processing.device import Device, device
from processing.files.particles import NO_PARTICLES, ParticleTable
from processing.pipeline import search_start
from processing.pipeline.candidates import find_candidates
from processing.pipeline.check_diameter import (
    require_possible_diameter,
    require_resolved_diameter,
)
from processing.pipeline.check_series import require_tilt_series
from processing.pipeline.detect import Detection, detect_by_fit, size_notes
from processing.pipeline.detect_bodies import detect_bodies, diameter_of
from processing.pipeline.memory import SINGLE_VOLUMES, allocator
from processing.pipeline.neighbours import without_neighbours
from processing.pipeline.own_diameters import mean_at_zero, with_statistics
from processing.pipeline.prepared import PreparedSeries, prepare_field
from processing.pipeline.propose_shape import with_proposed_shape
from processing.pipeline.sampling import (
    choose_sampling,
    finer_sampling,
    in_sampled_pixels,
    sampling_notes,
)
from processing.pipeline.search_start import SearchStart
from processing.pipeline.series_summary import (
    left_out_images,
    series_warnings,
    summarise_alignment,
    summary_in_recorded_pixels,
)
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent, within
from processing.reconstruct.sirt import sirt_series
from processing.results import Diameter, Sampling, SeriesSummary, Trust
from processing.scratch import Allocate, in_memory
from processing.series import Bools, Float32, TiltSeries
from processing.shapes.body import Body

FIT_ROUNDS = 2
"""Rounds of the sphere fit to a single series.

A third round changes the count by less than a hundredth of what the second does.
"""


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
    verdict = result.detection.count.verdict
    if verdict is not None and verdict.state is Trust.REFUSED:
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
        alone = without_neighbours(
            isolated, isolated.beside, alignment, settings, progress=within(progress, 0.55, 0.85)
        )
        if alone is not None:
            found = find_particles(
                alone.series,
                alone.alignment,
                settings,
                allocate=allocate,
                progress=within(progress, 0.85, 1.0),
            )
            result = replace(found, beside=alone.beside.followed_by(found.beside))
    summary = summary_in_recorded_pixels(result.summary, sampling)
    notes = sampling_notes(sampling, small.pixel_nm, result.diameter.value)
    return replace(result, summary=summary, warnings=(*result.warnings, *notes))


def _is_doubtful(result: SeriesResult) -> bool:
    verdict = result.detection.count.verdict
    return verdict is not None and verdict.state is Trust.DOUBTFUL


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
        progress=within(progress, 0.0, 0.35),
    )
    fits = _Fits(series, aligned, linear, volume, settings, allocate)
    if settings.body is None:
        detection, diameter = fits.spheres(start, progress)
        detection = with_proposed_shape(
            detection, volume, series.pixel_nm, diameter.value, alone=True
        )
    else:
        detection, diameter = fits.bodies(settings.body, progress)
    return SeriesResult(
        aligned,
        volume,
        detection,
        diameter,
        summarise_alignment(series, alignment, left_out),
        (
            *series_warnings(series, left_out),
            *detection.left_out,
            *(f"series {series.name}: {line}" for line in detection.loose),
            *size_notes(f"series {series.name}", detection.kinds),
        ),
        detection.beside,
    )


@dataclass(frozen=True, eq=False)
class _Fits:
    """Aligned series and its volume, in which spheres or bodies are found."""

    series: TiltSeries
    aligned: TiltSeries
    linear: TiltSeries
    volume: Float32
    settings: ProcessSettings
    allocate: Allocate

    @property
    def processor(self) -> Device:
        """Device of the computation."""
        return device(self.settings.device)

    def bodies(self, body: Body, progress: Progress) -> tuple[Detection, Diameter]:
        """Find bodies of the given shape."""
        detection = detect_bodies(
            self.volume,
            [(self.aligned, None)],
            body,
            doubts=self.series.doubts,
            device=self.processor,
            progress=within(progress, 0.35, 1.0),
        )
        return detection, diameter_of(body)

    def spheres(self, start: SearchStart | None, progress: Progress) -> tuple[Detection, Diameter]:
        """Estimate the diameter where it is not given, and find spheres."""
        diameter_nm = self.settings.known_diameter_nm
        if diameter_nm is None:
            estimate = estimate_diameter(
                self.volume,
                self.linear,
                device=self.processor,
                allocate=self.allocate,
                progress=within(progress, 0.35, 0.5),
            )
            require_resolved_diameter(self.series, estimate.value_px)
            diameter_nm = estimate.value_px * self.series.pixel_nm
        if start is not None and not start.holds_for(diameter_nm):
            start = None
        candidates = find_candidates(
            self.volume,
            diameter_nm,
            self.series.pixel_nm,
            iterations=self.settings.ssr_iterations,
            start=start,
            device=self.processor,
            allocate=self.allocate,
            progress=within(progress, 0.5, 0.7),
        )
        detection = detect_by_fit(
            candidates,
            [(self.aligned, None)],
            diameter_nm,
            rounds=FIT_ROUNDS if start is None else search_start.FIT_ROUNDS,
            own_diameters=self.settings.own_diameters,
            second_size=self.settings.second_size,
            doubts=self.series.doubts,
            device=self.processor,
            progress=within(progress, 0.7, 1.0),
        )
        if detection.kinds:
            diameter_nm = detection.kinds[0].diameter_nm
        elif self.settings.known_diameter_nm is None:
            # estimate the scale of the diameters again, from the final centres
            diameter_nm = self.series.pixel_nm * refined_diameter(
                self.linear,
                detection.table.centres_nm / self.series.pixel_nm,
                diameter_nm / self.series.pixel_nm,
            )
            detection = detection.with_mean_diameter(mean_at_zero(diameter_nm, detection.table))
        diameter = Diameter(
            value=diameter_nm,
            source="estimated" if self.settings.known_diameter_nm is None else "given",
            from_pair_distance=pair_distance(detection.table.centres_nm),
            kinds=list(detection.kinds),
        )
        return detection, with_statistics(diameter, detection.table)
