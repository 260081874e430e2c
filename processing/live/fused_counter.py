"""Live counts of both series together: a complete A and a growing B."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from processing.combine.flip_verdict import CLEAR_SHARE
from processing.combine.register import RegistrationResult, register_again
from processing.errors import RegistrationRefusedError, TooManyCandidatesError
from processing.fit.spheres import ROUNDS
from processing.live.earlier_search import LEAST_SHARE
from processing.live.series_counter import LiveSearch, widen_interval
from processing.pipeline.dual import FusedResult, combine_series
from processing.pipeline.fitness import angular_step
from processing.pipeline.register_series import register_series
from processing.pipeline.search_start import FIT_ROUNDS, PairStart, SearchStart, at_fitted_places
from processing.pipeline.series_search import SeriesResult, select_by_weight
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent
from processing.results import Count, FusionRule, Trust

LARGEST_STEP = 2.0
"""Largest angular step of a series, times the object's size in diameters, that leaving out every
second image may make. Both series are `doubtful` from 3 on. With 1.8 (165 nm, 4 degrees), the
counts of both were those with all images."""


@dataclass(frozen=True, eq=False)
class FusedCount:
    """Count of a complete A and of B so far.

    Attributes
    ----------
    images
        Number of images in use, of both series.
    count
        Count of the result, with the interval widened by the change that the latest tilts made.
    """

    result: FusedResult
    images: int
    count: Count

    def start_of(self, b: LiveSearch) -> LiveSearch:
        """Return the search of B with its candidates at the places that the fit of both gave.

        One round of the fit to B alone is then enough. Which of them are particles, the images of B
        decide.
        """
        candidates, fused = b.search.candidates, self.result
        if candidates is None or fused.diameter.kinds:
            return b
        places_nm = fused.found.pose.inverse().apply(fused.detection.table.centres_nm)
        pixel_nm, diameter_nm = candidates.pixel_nm, b.search.diameter_nm
        clusters = at_fitted_places(
            candidates.clusters, places_nm / pixel_nm, diameter_nm / pixel_nm
        )
        placed = replace(candidates, clusters=clusters)
        return replace(b, search=replace(b.search, candidates=placed, started=True))


class FusedCounter:
    """Repeated counts of a complete series A and a growing series B.

    Particles of one size are counted quickly. A's fitted places are a good start for one round of
    the fit. The fit decides among the candidates, and the plain mean of both volumes shows them as
    well as any other rule of fusion. Every second image of a series is enough where its steps are
    fine.

    Parameters
    ----------
    a
        Final result of A, at the pixel size of the live counts.
    """

    def __init__(self, a: SeriesResult, settings: ProcessSettings) -> None:
        if not a.diameter.kinds:
            # the complete A was searched for a second size; few tilts of B often hint at one
            quick = {"second_size": False, "fusion_rule": FusionRule.MEAN}
            settings = settings.model_copy(update=quick)
            a = _with_fewer_images(a)
        self._a, self._settings = a, settings
        self._rounds = ROUNDS if a.diameter.kinds else FIT_ROUNDS
        self._before: Count = a.detection.count
        self._last: FusedCount | None = None

    def count(self, b: SeriesResult, *, progress: Progress = silent) -> FusedCount | None:
        """Combine A with the result of B so far; return None while that is not possible."""
        return self._combine(b, None, progress)

    def count_before_fit(self, b: LiveSearch, *, progress: Progress = silent) -> FusedCount | None:
        """Combine A with the candidates of B, before B is fitted alone.

        The first count searches the pose of B, a later one continues the last. Returns None where
        the candidates leave it open in which pose B fits A, and where the last count is no start.
        """
        if b.verdict is not None and b.verdict.state is Trust.REFUSED:
            return None
        by_weight = select_by_weight(b.search, b.verdict)
        if by_weight is None:
            return None
        last = self._last
        start = self._first_start(by_weight) if last is None else self._start(last, by_weight)
        return None if start is None else self._combine(by_weight, start, progress)

    def holds_for(self, b: SeriesResult) -> bool:
        """Return true if the fitted particles of B confirm the pose of the last count."""
        return self._last is not None and self._pose_again(self._last, b) is not None

    def _combine(
        self, b: SeriesResult, start: PairStart | None, progress: Progress
    ) -> FusedCount | None:
        self._last = None
        try:
            result = combine_series(
                self._a,
                b if self._a.diameter.kinds else _with_fewer_images(b),
                self._settings,
                start=start,
                rounds=self._rounds,
                progress=progress,
            )
        except (RegistrationRefusedError, TooManyCandidatesError):
            return None
        own, before = result.detection.count, self._before
        self._before = own
        self._last = FusedCount(result, self._images(b), widen_interval(own, before))
        return self._last

    def _first_start(self, b: SeriesResult) -> PairStart | None:
        """Search the pose of B; None unless it fits A clearly, flipped and as it was recorded."""
        if self._a.diameter.kinds:
            return None  # the largest spheres alone do not show the object
        try:
            _, registration, reversed_line = register_series(self._a, b, self._a.diameter.value)
        except RegistrationRefusedError:
            return None
        clear = registration.share >= CLEAR_SHARE and not reversed_line
        return PairStart(registration, None) if clear else None

    def _start(self, last: FusedCount, b: SeriesResult) -> PairStart | None:
        """Return the last count as a start with more of B; None if it is none."""
        found, verdict = last.result, last.result.detection.count.verdict
        if verdict is None or verdict.state is Trust.REFUSED or found.diameter.kinds:
            return None
        if found.registration.sense_reversed or last.images < LEAST_SHARE * self._images(b):
            return None
        registration, diameter_nm = self._pose_again(last, b), found.diameter.value
        if registration is None:
            return None
        centres_nm = found.detection.table.centres_nm
        search = SearchStart(found.volume, found.detection.centres, centres_nm, diameter_nm)
        return PairStart(registration, search)

    def _pose_again(self, last: FusedCount, b: SeriesResult) -> RegistrationResult | None:
        """Compare the poses of the last count again with the particles of B known now."""
        in_a, in_b = (one.detection.table.centres_nm for one in (self._a, b))
        return register_again(in_a, in_b, last.result.diameter.value, last.result.found)

    def _images(self, b: SeriesResult) -> int:
        return self._a.summary.tilts + b.summary.tilts


def _with_fewer_images(result: SeriesResult) -> SeriesResult:
    """Return the result with every second of its images, if their steps are still fine."""
    step = angular_step(result.aligned, result.detection.table.centres_nm, result.diameter.value)
    if 2 * step > LARGEST_STEP:
        return result
    every_second = np.argsort(result.aligned.angles_deg, kind="stable")[::2]
    return replace(result, aligned=result.aligned.subset(np.sort(every_second)))
