"""Process one data set from pixel size and angles alone; compare the result with its truth."""

from __future__ import annotations

import resource
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from processing.combine.pose import Pose, fit_pose
from processing.pipeline.dual import FusedResult, combine_series
from processing.pipeline.series_search import SeriesResult
from processing.pipeline.settings import ProcessSettings
from processing.pipeline.single import process_series
from simulator.rigid import fit_rigid
from simulator.scoring import Score, score_tables
from simulator.series import DualSeries
from tests.accuracy.cases import Case
from tests.support.recorded import as_read

Record = dict[str, Any]

LARGEST_SHIFT_NM = 3.8
"""Largest shift between the frames of a series and of its truth: half a lattice step."""
TOLERANCE_NM = 1.5
"""Largest distance between a found and a true centre of the same particle."""


@dataclass(frozen=True)
class Outcome:
    """Results of one data set; one line of the results file."""

    case: str
    seed: int
    truth: int
    """True number of particles."""
    tables: dict[str, Record]
    count: tuple[int, int, int]
    """n, n_low, n_high."""
    diameter_error: float
    registration_deg: float
    registration_px: float
    scale_error: float
    seconds: float
    """Time to process both series on one core."""
    peak_GB: float


def measure(case: Case, seed: int, *, controls: bool) -> Record:
    """Simulate a data set, process it and score the result."""
    data = case.record(seed)
    settings = ProcessSettings(controls=controls)
    before = time.perf_counter()
    a = process_series(as_read(data.a, case.pixel_nm, "A"), settings)
    b = process_series(as_read(data.b, case.pixel_nm, "B"), settings)
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
    rotation_deg, shift_px = _registration_error(a, b, fused, data, case)
    outcome = Outcome(
        case=case.name,
        seed=seed,
        truth=len(data.truth),
        tables={name: _row(score) for name, score in accuracy.tables.items()},
        count=(count.n, count.n_low, count.n_high),
        diameter_error=fused.diameter.value / float(data.truth.diameters_nm.mean()) - 1,
        registration_deg=rotation_deg,
        registration_px=shift_px,
        scale_error=fused.registration.scale / data.scale - 1,
        seconds=seconds,
        peak_GB=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )
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


def _registration_error(
    a: SeriesResult, b: SeriesResult, fused: FusedResult, data: DualSeries, case: Case
) -> tuple[float, float]:
    """Return the rotation, degrees, and the shift, pixels, between the registered B and A.

    Alignment leaves A and B each in its own frame. Both frames are found from the particles of that
    series; the remaining difference is the registration error.
    """
    truth_a = data.truth.centres_nm
    truth_b = truth_a @ data.matrix / data.scale
    frame_a = fit_rigid(truth_a, a.detection.table.centres_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    frame_b = fit_rigid(truth_b, b.detection.table.centres_nm, LARGEST_SHIFT_NM, TOLERANCE_NM)
    if frame_a is None or frame_b is None:
        return float("nan"), float("nan")
    points = b.detection.table.centres_nm
    pose = Pose(
        np.array(fused.registration.matrix),
        np.array(fused.registration.shift_nm),
        fused.registration.scale,
    )
    found = frame_a(pose.apply(points))
    true = data.scale * frame_b(points) @ data.matrix.T
    error = fit_pose(true, found)
    rotation_deg = np.degrees(np.arccos(np.clip((np.trace(error.matrix) - 1) / 2, -1, 1)))
    shift_nm = np.linalg.norm(found.mean(axis=0) - true.mean(axis=0))
    return float(rotation_deg), float(shift_nm / case.pixel_nm)
