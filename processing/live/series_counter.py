"""Live counts: the pipeline applied to a series that is not complete yet.

Images are reduced to the resolution that a sphere needs, so that a count takes seconds. Each count
starts from the alignment of the count before. Half a series often shows nearly all particles; the
change between counts shows how many are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from processing.align.alignment import Alignment
from processing.align.matching import reduced, scaled
from processing.align.series import align_series
from processing.count.diameter import SMALLEST_PX
from processing.errors import TooManyCandidatesError
from processing.image_size import Crop
from processing.images.isolate import isolate_object
from processing.images.prepare import upright_contrast
from processing.live.count_size import reduction
from processing.live.earlier_search import EarlierSearch
from processing.live.repeated_diameter import (
    RepeatedDiameter,
    diameter_of_one_size,
    with_measured_diameter,
)
from processing.pipeline.detect import Detection
from processing.pipeline.object_region import MARGIN, object_region
from processing.pipeline.sampling import in_recorded_pixels, in_sampled_pixels, sampled
from processing.pipeline.series_search import (
    SeriesResult,
    SeriesSearch,
    fit_series,
    search_series,
)
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.verdict import wrong_share
from processing.progress import Progress, silent, within
from processing.results import Count, Sampling, Trust, Verdict
from processing.series import Float32, TiltSeries

REDUCED_DOUBT = 0.015
"""Uncertainty of the count in reduced images, as a fraction.

Counts of a single series differed from the final count by up to 1.1 %, on the side where the beam
leaves and pixel size matters most.
"""
LEAST_COVERAGE_DEG = 40.0
"""Smallest range of tilts that separates one layer of particles from the next."""
LEAST_DIAMETER_RATIO = 1.15
"""Smallest credible diameter, relative to the smallest one in the search; below it is noise."""
MOST_WRONG = 1 / 3
"""Largest share of particles that may be wrong in a doubtful live count; more tilts decide."""
LARGEST_CROP_SHARE = 0.6
"""Largest side of the object's region, relative to the field's, that is worth cropping to."""
ROUNDS_FROM_BEFORE = 2
"""Rounds of projection matching from the alignment of the count before.

After them the shifts change by a hundredth of a diameter. More rounds do not lower this change.
"""
USUAL_DECAY = 0.5
"""Factor between one change of the count and the next, if there is no better estimate."""
LARGEST_SHARE = 0.16
"""Largest credible diameter, as a fraction of the side of the volume; above is the assembly."""


@dataclass(frozen=True, eq=False)
class LiveCount:
    """Count of a series so far.

    Attributes
    ----------
    result
        Result for the reduced images in use.
    alignment
        Alignment of all images given, in their own pixels.
    count
        Count of the result, with the interval widened by the change that the latest tilts made.
    """

    result: SeriesResult
    alignment: Alignment
    count: Count


@dataclass(frozen=True, eq=False)
class LiveSearch:
    """Candidates of a series so far, before the fit to its images.

    Attributes
    ----------
    alignment
        Alignment of all images given, in the pixels in which they are counted.
    factor
        Pixels of the region in one of these, along a side.
    verdict
        Verdict on the last count; None if there is none.
    """

    search: SeriesSearch
    alignment: Alignment
    sampling: Sampling
    factor: float
    verdict: Verdict | None


class SeriesCounter:
    """Repeated counts of one growing series."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._alignment: Alignment | None = None
        self._last: Count | None = None
        self._diameter = RepeatedDiameter()
        self._sampling: Sampling | None = None
        self._searched: EarlierSearch | None = None
        self._hinted = False

    def count(self, series: TiltSeries, *, progress: Progress = silent) -> LiveCount | None:
        """Count the particles in the raw images so far: `search`, then `fit`."""
        found = self.search(series, progress=within(progress, 0.0, 0.8))
        return None if found is None else self.fit(found, progress=within(progress, 0.8, 1.0))

    def search(self, series: TiltSeries, *, progress: Progress = silent) -> LiveSearch | None:
        """Align and reconstruct the raw images so far, and find the candidates for particles.

        Returns None while the tilts do not separate one layer of particles from the next.

        Parameters
        ----------
        series
            The images of the last call, unchanged, followed by the new ones.

        Raises
        ------
        ProcessingError
            Too few images are usable.
        """
        if np.ptp(series.angles_deg) < LEAST_COVERAGE_DEG:
            return None
        series = isolate_object(upright_contrast(series)).series
        sampling = self._sampling = _region(series, self._sampling)
        factor = reduction(sampling.crop_px[2])
        small = reduced(sampled(series, sampling), factor)
        alignment = self._align(small, sampling, factor, within(progress, 0.0, 0.5))
        self._alignment = in_recorded_pixels(scaled(alignment, factor), sampling)
        searched, self._searched = self._searched, None
        start = searched.start(alignment, sampling) if searched is not None else None
        search = search_series(
            small,
            alignment,
            self._settings_so_far(),
            start=start,
            progress=within(progress, 0.5, 1.0),
        )
        known = searched.result.detection.count.verdict if searched is not None else None
        return LiveSearch(search, alignment, sampling, factor, known)

    def fit(self, found: LiveSearch, *, progress: Progress = silent) -> LiveCount | None:
        """Count the particles among the candidates of the last search.

        Returns None while too few tilts are there to separate the particles: the diameter found is
        not credible, or too many particles may be wrong. A refused count is returned as such.
        """
        try:
            result = fit_series(found.search, progress=progress)
        except TooManyCandidatesError:
            self._diameter = RepeatedDiameter()
            return None  # more tilts may decide on them
        if found.search.settings.known_diameter_nm != self._settings.known_diameter_nm:
            result = with_measured_diameter(result)
        self._hinted = bool(result.detection.hinted or result.diameter.kinds)
        if not self._credible_diameter(result) or not _credible_count(result.detection):
            self._diameter = RepeatedDiameter()
            return None
        self._searched = EarlierSearch(result, found.alignment, found.sampling)
        count = result.detection.count
        self._diameter.add(diameter_of_one_size(result))
        before, self._last = self._last, count
        doubt = REDUCED_DOUBT * count.n if found.factor > 1 else 0.0
        alignment = in_recorded_pixels(scaled(found.alignment, found.factor), found.sampling)
        return LiveCount(result, alignment, widen_interval(count, before, doubt))

    def _align(
        self, small: TiltSeries, sampling: Sampling, factor: float, progress: Progress
    ) -> Alignment:
        """Align reduced images, from the alignment of the count before where there is one."""
        if self._alignment is None:
            return align_series(small, progress=progress)
        start = scaled(in_sampled_pixels(self._alignment, sampling), 1 / factor)
        return align_series(small, start=start, rounds=ROUNDS_FROM_BEFORE, progress=progress)

    def _settings_so_far(self) -> ProcessSettings:
        """Return the settings, with a diameter that earlier counts agree on where there is one.

        A second size is searched only if the count before hinted at one too: few tilts often do,
        and the search takes longer than all the rest.
        """
        return self._settings.model_copy(
            update={
                "diameter_nm": self._settings.known_diameter_nm or self._diameter.agreed_nm,
                "second_size": self._settings.second_size and self._hinted,
            }
        )

    def _credible_diameter(self, result: SeriesResult) -> bool:
        """Return false if the estimated diameter is that of noise or of the whole assembly."""
        if self._settings.known_diameter_nm is not None:
            return True
        smallest_nm = LEAST_DIAMETER_RATIO * SMALLEST_PX * result.aligned.pixel_nm
        largest_nm = LARGEST_SHARE * min(result.volume.shape) * result.aligned.pixel_nm
        return bool(smallest_nm < result.diameter.value < largest_nm)


def _credible_count(detection: Detection) -> bool:
    """Return false for a doubtful count of which too many particles may be wrong."""
    verdict, fitness = detection.count.verdict, detection.fitness
    if verdict is None or fitness is None or verdict.state is Trust.REFUSED:
        return True
    other_size = detection.hinted / max(1, detection.count.n)
    return max(wrong_share(fitness, verdict), other_size) <= MOST_WRONG


def _region(series: TiltSeries, before: Sampling | None) -> Sampling:
    """Return the region of the object if it is small in the field, else the whole field.

    A region that differs little from the one before stays: an earlier volume then fits.
    """
    rows, columns = series.images.shape[1:]
    crop = object_region(series)
    if max(crop[2] / columns, crop[3] / rows) > LARGEST_CROP_SHARE:
        crop = (0, 0, columns, rows)
    found = Sampling(recorded_px=(columns, rows), crop_px=crop)
    if before is None or before.recorded_px != found.recorded_px:
        return found
    return before if _nearly_same(crop, before.crop_px) else found


def _nearly_same(crop: Crop, before: Crop) -> bool:
    """Return true if all edges of a region are within half its margin of those before."""
    edges, known = (
        np.array([x, y, x + width, y + height]) for x, y, width, height in (crop, before)
    )
    return bool((np.abs(edges - known) <= MARGIN / 2 * min(crop[2:])).all())


def widen_interval(count: Count, before: Count | None, doubt: float = 0.0) -> Count:
    """Widen the interval of a count by the change since the count before.

    The first count is taken to be uncertain by half.

    Parameters
    ----------
    doubt
        Additional uncertainty, in particles.
    """
    change = np.hypot(doubt, count.n / 2 if before is None else count.n - before.n)
    wider = {
        "n_low": max(0, count.n - round(np.hypot(count.n - count.n_low, change))),
        "n_high": count.n + round(np.hypot(count.n_high - count.n, change)),
    }
    return count.model_copy(update=wider)


def expected_change(history: Sequence[tuple[int, int]], planned: int) -> int:
    """Estimate how many particles the rest of a series will add; negative if it removes some.

    The changes are taken to form a geometric series, with the ratio of the last two. The ratio is
    1/2 if there is only one change so far, or if the last two have opposite signs.

    Parameters
    ----------
    history
        (tilts, particles) of at least two counts so far, in the order of tilts.
    planned
        Number of tilts in the whole series.
    """
    (t1, n1), (t2, n2) = history[-2:]
    change, left = n2 - n1, (planned - t2) / (t2 - t1)
    ratio = USUAL_DECAY
    if len(history) > 2 and (n1 - history[-3][1]) * change > 0:
        t0, n0 = history[-3]
        ratio = min(1.0, (change / (t2 - t1)) / ((n1 - n0) / (t1 - t0)))
    sum_of_powers = left if ratio == 1 else ratio * (1 - ratio**left) / (1 - ratio)
    return round(change * sum_of_powers)


def reduce_to_counting_size(result: SeriesResult) -> SeriesResult:
    """Reduce images and volume of a final result to the pixel size of the live counts."""
    factor = reduction(result.aligned.images.shape[2])
    if factor == 1:
        return result
    return replace(
        result,
        aligned=reduced(result.aligned, factor),
        volume=_reduced_volume(result.volume, factor),
    )


def _reduced_volume(volume: Float32, factor: float) -> Float32:
    """Resample a volume to voxels `factor` times as wide, about the same centre."""
    sides = tuple(int(np.ceil(n / factor)) for n in volume.shape)
    offset = [
        (old - 1) / 2 - factor * (new - 1) / 2 for old, new in zip(volume.shape, sides, strict=True)
    ]
    smooth = ndimage.gaussian_filter(volume, 0.4 * factor, mode="nearest")
    small: Float32 = ndimage.affine_transform(
        smooth, [factor] * 3, offset, sides, order=1, mode="nearest"
    )
    return small
