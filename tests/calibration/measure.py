"""Process one simulated session; compare each particle's confidence with its truth."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing import ProcessSettings, combine_series, process_series
from processing.errors import ProcessingError
from processing.pipeline.detect import Detection
from processing.results import Trust, Verdict
from simulator.rigid import fit_rigid, match_particles
from tests.calibration.cases import Case
from tests.support.recorded import as_read

Array = NDArray[np.float64]

TOLERANCE = 0.25
"""Largest distance between a found and a true centre of the same particle, in diameters."""
SEARCH = 2.2
"""Largest shift of the rigid fit, in distances of neighbours: further than the next layer."""
TENTHS = 10


@dataclass(frozen=True)
class Row:
    """Result of one count: of A, of B or of both. One line of the results file.

    Attributes
    ----------
    by_tenth
        For each tenth of confidence: particles, sum of their confidences, real ones among them.
    """

    case: str
    size_nm: float
    step_deg: float
    seed: int
    series: str
    truth: int
    found: int
    f1: float
    n_low: int
    n_high: int
    verdict: Trust
    reason: str
    by_tenth: tuple[tuple[int, float, int], ...]

    @property
    def holds(self) -> bool:
        """True if the interval holds the true number."""
        return self.n_low <= self.truth <= self.n_high


def silence_warnings() -> None:
    """Ignore warnings in this process; a fit without a signal has some."""
    warnings.simplefilter("ignore")


def measure(case: Case) -> list[Row]:
    """Simulate a session and process it; return the rows of A, of B and of both."""
    data = case.record()
    diameter_nm = float(data.truth.diameters_nm.mean())
    settings = ProcessSettings()
    truth_nm = data.truth.centres_nm
    a = process_series(as_read(data.a, case.pixel_nm, "A"), settings)
    b = process_series(as_read(data.b, case.pixel_nm, "B"), settings)
    rows = [
        score(case, "A", truth_nm, a.detection, diameter_nm),
        score(case, "B", truth_nm @ data.matrix / data.scale, b.detection, diameter_nm),
    ]
    try:
        both = combine_series(a, b, settings).detection
    except ProcessingError as error:
        return [*rows, refused(case, "A and B", len(truth_nm), str(error))]
    return [*rows, score(case, "A and B", truth_nm, both, diameter_nm)]


def score(
    case: Case, series: str, truth_nm: Array, detection: Detection, diameter_nm: float
) -> Row:
    """Compare the particles of one count with the truth."""
    table, count = detection.table, detection.count
    real = real_particles(truth_nm, table.centres_nm, diameter_nm)
    verdict = count.verdict or Verdict(state=Trust.TRUSTED)
    return Row(
        case.name,
        case.size_nm,
        case.step_deg,
        case.seed,
        series,
        len(truth_nm),
        count.n,
        2 * float(real.sum()) / (len(truth_nm) + len(table)),
        count.n_low,
        count.n_high,
        verdict.state,
        verdict.reasons[0] if verdict.reasons else "",
        by_tenth(table.confidence, real),
    )


def refused(case: Case, series: str, truth: int, reason: str) -> Row:
    """Return the row of a count that processing refused to make."""
    nothing = ((0, 0.0, 0),) * TENTHS
    facts = (case.name, case.size_nm, case.step_deg, case.seed, series, truth)
    return Row(*facts, 0, 0.0, 0, 0, Trust.REFUSED, reason, nothing)


def real_particles(truth_nm: Array, found_nm: Array, diameter_nm: float) -> NDArray[np.bool_]:
    """Return which particles found [n] have a true one near them, after one rigid fit."""
    real = np.zeros(len(found_nm), bool)
    if len(found_nm) < 4:
        return real
    spacing_nm = float(np.median(cKDTree(truth_nm).query(truth_nm, 2)[0][:, 1]))
    tolerance_nm = TOLERANCE * diameter_nm
    rigid = fit_rigid(truth_nm, found_nm, SEARCH * spacing_nm, tolerance_nm)
    if rigid is not None:
        real[match_particles(truth_nm, rigid(found_nm), tolerance_nm)[1]] = True
    return real


def by_tenth(confidence: Array, real: NDArray[np.bool_]) -> tuple[tuple[int, float, int], ...]:
    """Return for each tenth of confidence: particles, sum of confidences, real ones."""
    tenth = np.clip((TENTHS * confidence).astype(int), 0, TENTHS - 1)
    return tuple(
        (
            int((tenth == number).sum()),
            float(confidence[tenth == number].sum()),
            int(real[tenth == number].sum()),
        )
        for number in range(TENTHS)
    )
