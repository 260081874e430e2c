"""Live counts of both series together: a complete A and a growing B."""

from __future__ import annotations

from dataclasses import dataclass

from processing.combine.register import register_again
from processing.errors import RegistrationRefusedError, TooManyCandidatesError
from processing.fit.spheres import ROUNDS
from processing.live.earlier_search import LEAST_SHARE
from processing.live.series_counter import LiveSearch, widen_interval
from processing.pipeline.dual import FusedResult, combine_series
from processing.pipeline.search_start import FIT_ROUNDS, PairStart, SearchStart
from processing.pipeline.series_search import SeriesResult, select_by_weight
from processing.pipeline.settings import ProcessSettings
from processing.progress import Progress, silent
from processing.results import Count, FusionRule, Trust


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


class FusedCounter:
    """Repeated counts of a complete series A and a growing series B.

    Particles of one size are counted quickly. A's fitted places are a good start for one round of
    the fit. The fit decides among the candidates, and the plain mean of both volumes shows them as
    well as any other rule of fusion.

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
        self._a, self._settings = a, settings
        self._rounds = ROUNDS if a.diameter.kinds else FIT_ROUNDS
        self._before: Count = a.detection.count
        self._last: FusedCount | None = None

    def count(self, b: SeriesResult, *, progress: Progress = silent) -> FusedCount | None:
        """Combine A with the result of B so far; return None while that is not possible."""
        return self._combine(b, None, progress)

    def count_again(self, b: LiveSearch, *, progress: Progress = silent) -> FusedCount | None:
        """Continue the last count with more images of B, before they are fitted alone.

        Returns None where the last count is no start: there is none that can be continued, B has
        too many new images, or its candidates leave it open in which pose B fits A.
        """
        if self._last is None or b.verdict is None or b.verdict.state is Trust.REFUSED:
            return None
        by_weight = select_by_weight(b.search, b.verdict)
        start = None if by_weight is None else self._start(self._last, by_weight)
        if by_weight is None or start is None:
            return None
        return self._combine(by_weight, start, progress)

    def _combine(
        self, b: SeriesResult, start: PairStart | None, progress: Progress
    ) -> FusedCount | None:
        self._last = None
        try:
            result = combine_series(
                self._a, b, self._settings, start=start, rounds=self._rounds, progress=progress
            )
        except (RegistrationRefusedError, TooManyCandidatesError):
            return None
        own, before = result.detection.count, self._before
        self._before = own
        self._last = FusedCount(result, self._images(b), widen_interval(own, before))
        return self._last

    def _start(self, last: FusedCount, b: SeriesResult) -> PairStart | None:
        """Return the last count as a start with more of B; None if it is none."""
        found, verdict = last.result, last.result.detection.count.verdict
        if verdict is None or verdict.state is Trust.REFUSED or found.diameter.kinds:
            return None
        if found.registration.sense_reversed or last.images < LEAST_SHARE * self._images(b):
            return None
        diameter_nm = found.diameter.value
        registration = register_again(
            self._a.detection.table.centres_nm,
            b.detection.table.centres_nm,
            diameter_nm,
            found.found,
        )
        if registration is None:
            return None
        centres_nm = found.detection.table.centres_nm
        search = SearchStart(found.volume, found.detection.centres, centres_nm, diameter_nm)
        return PairStart(registration, search)

    def _images(self, b: SeriesResult) -> int:
        return self._a.summary.tilts + b.summary.tilts
