"""Process one simulated session, as the product does and with parts of the truth given."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from processing import ProcessSettings, combine_series, process_series
from processing.errors import ProcessingError
from processing.pipeline.detect import Detection
from processing.pipeline.dual import FusedResult
from processing.pipeline.series_search import SeriesResult
from processing.results import Trust, Verdict
from simulator.series import DualSeries, Series
from tests.accuracy.limits import oracle
from tests.accuracy.limits.cases import Case, Key
from tests.calibration.measure import TENTHS, Array, by_tenth, real_particles
from tests.support.recorded import as_read


class Given(StrEnum):
    """Parts of the truth that a count was given."""

    NOTHING = "nothing"
    """The product."""
    POSES = "poses"
    CANDIDATES = "candidates"
    BOTH = "poses and candidates"


@dataclass(frozen=True)
class Row:
    """Result of one count: of A, of B or of both. One line of the results file.

    Attributes
    ----------
    by_tenth
        For each tenth of confidence: particles, sum of their confidences, real ones among them.
    cpu_s
        CPU time of processing; 0 where it shares the time of the product.
    """

    packing: str
    size_nm: float
    step_deg: float
    dose: str
    pixel_nm: float
    seed: int
    given: str
    series: str
    truth: int
    found: int
    real: int
    n_low: int
    n_high: int
    verdict: Trust
    reasons: tuple[str, ...]
    by_tenth: tuple[tuple[int, float, int], ...]
    cpu_s: float = 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of recall and precision."""
        return 2 * self.real / max(1, self.truth + self.found)

    @property
    def holds(self) -> bool:
        """True if the interval holds the true number."""
        return self.n_low <= self.truth <= self.n_high

    @property
    def specimen(self) -> str:
        """Size of the assembly and of the pixels."""
        return f"{self.size_nm:g} nm, pixels of {self.pixel_nm:g} nm"

    @property
    def key(self) -> Key:
        """Key of the case."""
        facts = self.packing, self.size_nm, self.step_deg, self.dose
        return *facts, self.pixel_nm, self.seed


def measure(case: Case, *, controls: bool) -> list[Row]:
    """Simulate a session and process it; return the rows of A, of B and of both.

    With `controls`, the same counts are also made with true poses, true candidates, and both.
    """
    data = case.record()
    session = _Session(case, data, ProcessSettings())
    rows = list(session.product())
    if controls:
        rows += session.with_true_candidates()
        rows += session.with_true_poses()
    return rows


class _Session:
    """One simulated session; its results are kept for the controls."""

    def __init__(self, case: Case, data: DualSeries, settings: ProcessSettings) -> None:
        self.case, self.data, self.settings = case, data, settings
        self.diameter_nm = float(data.truth.diameters_nm.mean())
        self.truth_a_nm = data.truth.centres_nm
        self.truth_b_nm = self.truth_a_nm @ data.matrix / data.scale
        self.alone: dict[str, SeriesResult] = {}
        self.fused: FusedResult | None = None

    def product(self) -> Iterator[Row]:
        """Count A, B and both as the product does."""
        for name, raw, truth_nm in self._series():
            before = time.process_time()
            try:
                found = process_series(as_read(raw, self.case.pixel_nm, name), self.settings)
            except ProcessingError as error:
                yield self._refused(Given.NOTHING, name, str(error))
                continue
            self.alone[name] = found
            seconds = time.process_time() - before
            yield self._row(Given.NOTHING, name, truth_nm, found.detection, seconds)
        if len(self.alone) < 2:
            yield self._refused(Given.NOTHING, "A and B", "one series was refused")
            return
        before = time.process_time()
        try:
            self.fused = combine_series(self.alone["A"], self.alone["B"], self.settings)
        except ProcessingError as error:
            yield self._refused(Given.NOTHING, "A and B", str(error))
            return
        seconds = time.process_time() - before
        detection = self.fused.detection
        yield self._row(Given.NOTHING, "A and B", self.truth_a_nm, detection, seconds)

    def with_true_candidates(self) -> Iterator[Row]:
        """Count with the true particles as candidates, at the poses that the product found."""
        given = Given.CANDIDATES
        for name, _, truth_nm in self._series():
            if name in self.alone:
                detection = oracle.from_true_candidates(
                    [(self.alone[name].aligned, None)], truth_nm, self.alone[name].detection
                )
                if detection:
                    yield self._row(given, name, truth_nm, detection)
        if self.fused is not None:
            series = [
                (self.alone["A"].aligned, None),
                (self.alone["B"].aligned, oracle.found_pose(self.fused)),
            ]
            fused = oracle.from_true_candidates(series, self.truth_a_nm, self.fused.detection)
            if fused:
                yield self._row(given, "A and B", self.truth_a_nm, fused)

    def with_true_poses(self) -> Iterator[Row]:
        """Count with true shifts, angles and flip: from the volume, and from true candidates."""
        at_truth = {}
        for name, raw, truth_nm in self._series():
            if name not in self.alone:
                continue
            sampling = self.alone[name].summary.sampling
            found = oracle.at_true_poses(raw, self.case.pixel_nm, name, sampling, self.settings)
            at_truth[name] = found
            yield self._row(Given.POSES, name, truth_nm, found.detection)
            detection = oracle.from_true_candidates(
                [(found.aligned, None)], truth_nm, found.detection, in_true_frame=True
            )
            if detection:
                yield self._row(Given.BOTH, name, truth_nm, detection)
        if len(at_truth) < 2:
            return
        fused = oracle.combined_at_truth(at_truth["A"], at_truth["B"], self.data, self.settings)
        yield self._row(Given.POSES, "A and B", self.truth_a_nm, fused.detection)
        series = [
            (at_truth["A"].aligned, None),
            (at_truth["B"].aligned, oracle.true_pose(self.data)),
        ]
        both = oracle.from_true_candidates(
            series, self.truth_a_nm, fused.detection, in_true_frame=True
        )
        if both:
            yield self._row(Given.BOTH, "A and B", self.truth_a_nm, both)

    def _series(self) -> Iterator[tuple[str, Series, Array]]:
        yield "A", self.data.a, self.truth_a_nm
        yield "B", self.data.b, self.truth_b_nm

    def _row(
        self, given: Given, series: str, truth_nm: Array, found: Detection, cpu_s: float = 0.0
    ) -> Row:
        table, count = found.table, found.count
        real = real_particles(truth_nm, table.centres_nm, self.diameter_nm)
        verdict = count.verdict or Verdict(state=Trust.TRUSTED)
        return Row(
            *self.case.key,
            given.value,
            series,
            len(truth_nm),
            len(table),
            int(real.sum()),
            count.n_low,
            count.n_high,
            verdict.state,
            verdict.reasons,
            by_tenth(table.confidence, real),
            round(cpu_s, 2),
        )

    def _refused(self, given: Given, series: str, reason: str) -> Row:
        nothing = ((0, 0.0, 0),) * TENTHS
        truth = len(self.truth_a_nm)
        facts = (*self.case.key, given.value, series, truth, 0, 0, 0, 0)
        return Row(*facts, Trust.REFUSED, (reason,), nothing)
