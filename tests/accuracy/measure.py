"""Process one data set with nothing told, and hold the result against its truth."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from processing.pipeline import FusedResult, ProcessSettings, combine_series, process_series
from simulator.scoring import Score, score_tables
from simulator.series import DualSeries
from tests.accuracy.cases import Case

Record = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What one data set gave: a line of the results file."""

    case: str
    seed: int
    truth: int
    tables: dict[str, Record]
    count: tuple[int, int, int]
    """n, n_low, n_high."""
    diameter_error: float
    registration_deg: float
    registration_px: float
    scale_error: float
    seconds: float
    peak_GB: float


def measure(case: Case, seed: int, *, controls: bool) -> Outcome:
    """Simulate, process, score."""
    data = case.record(seed)
    settings = ProcessSettings(controls=controls)
    before = time.perf_counter()
    a = process_series(case.tilt_series(data.a, "A"), settings)
    b = process_series(case.tilt_series(data.b, "B"), settings)
    fused = combine_series(a, b, settings)
    seconds = time.perf_counter() - before
    tables = {
        "A": a.detection.table.centres_nm,
        "B": fused.table_b.centres_nm,
        **{name: control.table.centres_nm for name, control in fused.controls.items()},
        "fused": fused.detection.table.centres_nm,
    }
    accuracy = score_tables(data.truth, tables)
    count = fused.detection.count
    turn_deg, shift_px = _registration_error(fused, data, case)
    return Outcome(
        case=case.name,
        seed=seed,
        truth=len(data.truth),
        tables={name: _row(score) for name, score in accuracy.tables.items()},
        count=(count.n, count.n_low, count.n_high),
        diameter_error=fused.diameter.value / float(data.truth.diameters_nm.mean()) - 1,
        registration_deg=turn_deg,
        registration_px=shift_px,
        scale_error=fused.registration.scale / data.scale - 1,
        seconds=seconds,
        peak_GB=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )


def as_record(outcome: Outcome) -> Record:
    """For a line of JSON."""
    return asdict(outcome)


def _row(score: Score) -> Record:
    return {
        "found": score.found,
        "f1": score.f1,
        "recall": score.recall,
        "precision": score.precision,
        "rms_nm": score.rms_nm,
        "recall_by_depth": score.recall_by_depth,
        "failure": score.failure,
    }


def _registration_error(fused: FusedResult, data: DualSeries, case: Case) -> tuple[float, float]:
    """Turn left over, degrees, and shift, pixels.

    A's and B's volumes have frames of their own, each as good as its alignment: particles of the
    truth, brought from where B's frame has them to A's, tell both apart from the registration.
    """
    found = np.array(fused.registration.matrix)
    apart = found @ data.matrix.T
    turn = np.degrees(np.arccos(np.clip((np.trace(apart) - 1) / 2, -1, 1)))
    shift = np.linalg.norm(fused.registration.shift_nm)
    return float(turn), float(shift / case.pixel_nm)
