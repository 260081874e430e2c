"""Counting a series before it is complete: the pipeline itself, on what there is so far.

On images no finer than a sphere needs, so that a count takes seconds; from where the count before
stood, so that it takes fewer. Half a series is often enough for nearly all particles, and what is
missing shows in how the count still changes.
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
from processing.errors import RegistrationRefusedError
from processing.live.count_size import reduction
from processing.pipeline.dual import FusedResult, combine_series
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import SeriesResult, find_particles
from processing.progress import Progress, silent, within
from processing.results import Count
from processing.series import Float32, TiltSeries

REDUCED_DOUBT = 0.015
"""Of a single series' count in reduced images: it has been off by up to 1.1 % of the final one, on
the side where the beam leaves, where each pixel counts."""
LEAST_COVERAGE_DEG = 40.0
"""A narrower range of tilts does not tell one layer of particles from the next."""
EDGE = 1.15
"""An estimated diameter so near to the smallest one looked for is noise, not a particle's."""
USUAL_DECAY = 0.5
"""Of a change of the count, from one count to the next."""
LARGEST_SHARE = 0.16
"""Of the volume's side: a sphere larger than this is the assembly."""


@dataclass(frozen=True, eq=False)
class LiveCount:
    """What a growing series gives so far.

    Attributes
    ----------
    result
        Of the reduced images in use.
    alignment
        Of all images that were given, in their own pixels.
    count
        The result's, its interval widened by what the latest tilts have changed.
    """

    result: SeriesResult
    alignment: Alignment
    count: Count


class SeriesCounter:
    """Counts one growing series again and again."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._alignment: Alignment | None = None
        self._last: Count | None = None

    def count(self, series: TiltSeries, *, progress: Progress = silent) -> LiveCount | None:
        """Count in the raw images so far; None while particles can not be told apart.

        Parameters
        ----------
        series
            The images that were given before, unchanged, and newer ones behind them.

        Raises
        ------
        ProcessingError
            Too few usable images.
        """
        if np.ptp(series.angles_deg) < LEAST_COVERAGE_DEG:
            return None
        factor = reduction(series.images.shape[2])
        small = reduced(series, factor)
        start = scaled(self._alignment, 1 / factor) if self._alignment is not None else None
        found = align_series(small, start=start, progress=within(progress, 0.0, 0.4))
        self._alignment = scaled(found, factor)
        result = find_particles(small, found, self._settings, progress=within(progress, 0.4, 1.0))
        if not self._credible(result):
            return None
        count = result.detection.count
        before, self._last = self._last, count
        doubt = REDUCED_DOUBT * count.n if factor > 1 else 0.0
        return LiveCount(result, self._alignment, widen_interval(count, before, doubt))

    def _credible(self, result: SeriesResult) -> bool:
        """Whether the diameter found is one of something that was seen."""
        if self._settings.diameter_nm is not None:
            return True
        smallest_nm = EDGE * SMALLEST_PX * result.aligned.pixel_nm
        largest_nm = LARGEST_SHARE * min(result.volume.shape) * result.aligned.pixel_nm
        return bool(smallest_nm < result.diameter.value < largest_nm)


def widen_interval(count: Count, before: Count | None, doubt: float = 0.0) -> Count:
    """The interval with what may still change: as much as the latest tilts have changed.

    The first count has nothing beside it, and may be off by half.

    Parameters
    ----------
    doubt
        Particles by which the count may be off besides.
    """
    change = np.hypot(doubt, count.n / 2 if before is None else count.n - before.n)
    return Count(
        n=count.n,
        n_low=max(0, count.n - round(np.hypot(count.n - count.n_low, change))),
        n_high=count.n + round(np.hypot(count.n_high - count.n, change)),
    )


def expected_change(history: Sequence[tuple[int, int]], planned: int) -> int:
    """Particles that the rest of a series should still add, or take away.

    The latest change goes on, and dies away as it did from the one before; by half where there is
    none before, or it went the other way.

    Parameters
    ----------
    history
        (tilts, particles) of the counts so far, at least two, tilts ascending.
    planned
        Tilts of the whole series.
    """
    (t1, n1), (t2, n2) = history[-2:]
    change, left = n2 - n1, (planned - t2) / (t2 - t1)
    ratio = USUAL_DECAY
    if len(history) > 2 and (n1 - history[-3][1]) * change > 0:
        t0, n0 = history[-3]
        ratio = min(1.0, (change / (t2 - t1)) / ((n1 - n0) / (t1 - t0)))
    sum_of_powers = left if ratio == 1 else ratio * (1 - ratio**left) / (1 - ratio)
    return round(change * sum_of_powers)


def fuse_so_far(
    a: SeriesResult, b: SeriesResult, settings: ProcessSettings, *, progress: Progress = silent
) -> FusedResult | None:
    """What a complete A and a growing B give together; None while B cannot be brought onto A."""
    try:
        return combine_series(a, b, settings, progress=progress)
    except RegistrationRefusedError:
        return None


def reduce_to_counting_size(result: SeriesResult) -> SeriesResult:
    """A series' final result with images and volume as coarse as live counts use them."""
    factor = reduction(result.aligned.images.shape[2])
    if factor == 1:
        return result
    return replace(
        result,
        aligned=reduced(result.aligned, factor),
        volume=_reduced_volume(result.volume, factor),
    )


def _reduced_volume(volume: Float32, factor: float) -> Float32:
    """A volume sampled at voxels `factor` times as wide, about the same centre."""
    sides = tuple(int(np.ceil(n / factor)) for n in volume.shape)
    offset = [
        (old - 1) / 2 - factor * (new - 1) / 2 for old, new in zip(volume.shape, sides, strict=True)
    ]
    smooth = ndimage.gaussian_filter(volume, 0.4 * factor, mode="nearest")
    small: Float32 = ndimage.affine_transform(
        smooth, [factor] * 3, offset, sides, order=1, mode="nearest"
    )
    return small
