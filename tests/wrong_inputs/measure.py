"""Outcome of one kind of input: processed like any other, then compared with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing import ProcessingError, ProcessSettings, combine_series, process_series
from processing.results import Count, Trust, Verdict
from tests.support.move_rigidly import move_rigidly
from tests.wrong_inputs.kinds import Kind
from tests.wrong_inputs.record import Sample

Array = NDArray[np.float64]

RIGHT_F1 = 0.98
"""Smallest F1 of a right count; its interval must hold the truth as well."""
TOLERANCE = 1.5 / 6.3
"""Matching tolerance, in diameters."""


class Outcome(StrEnum):
    """Outcomes, the worst first."""

    TRUSTED_WRONG = "trusted and wrong"
    CRASHED = "internal error"
    REFUSED = "refused"
    DOUBTFUL = "doubtful"
    TRUSTED_RIGHT = "trusted and right"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    kind: str
    good: bool
    outcome: Outcome
    truth: int | None
    found: int | None
    f1: float | None
    reason: str

    @property
    def as_wanted(self) -> bool:
        """True if a good input is trusted, and no wrong count is."""
        wanted = {Outcome.TRUSTED_RIGHT} if self.good else set(Outcome) - UNWANTED
        return self.outcome in wanted


UNWANTED = {Outcome.TRUSTED_WRONG, Outcome.CRASHED}


def measure(kind: Kind) -> Row:
    """Process one kind of input and compare its particles with the truth."""
    sample = kind.make()
    truth = None if sample.truth_nm is None else len(sample.truth_nm)
    try:
        found_nm, count = _processed(sample)
    except ProcessingError as error:
        return Row(kind.name, kind.good, Outcome.REFUSED, truth, None, None, str(error))
    except Exception as error:  # noqa: BLE001
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        return Row(kind.name, kind.good, Outcome.CRASHED, truth, None, None, reason)
    f1 = None if sample.truth_nm is None else best_f1(sample.truth_nm, found_nm, sample.diameter_nm)
    holds = truth is not None and count.n_low <= truth <= count.n_high
    right = f1 is not None and f1 >= RIGHT_F1 and holds
    verdict = count.verdict or Verdict(state=Trust.TRUSTED)
    outcome = {
        Trust.TRUSTED: Outcome.TRUSTED_RIGHT if right else Outcome.TRUSTED_WRONG,
        Trust.DOUBTFUL: Outcome.DOUBTFUL,
        Trust.REFUSED: Outcome.REFUSED,
    }[verdict.state]
    reason = verdict.reasons[0] if verdict.reasons else ""
    return Row(kind.name, kind.good, outcome, truth, len(found_nm), f1, reason)


def _processed(sample: Sample) -> tuple[Array, Count]:
    results = [process_series(series, ProcessSettings()) for series in sample.series]
    detection = results[0].detection
    if len(results) == 2:
        detection = combine_series(results[0], results[1], ProcessSettings()).detection
    return detection.table.centres_nm, detection.count


def best_f1(truth_nm: Array, found_nm: Array, diameter_nm: float) -> float:
    """Return the F1 of the particles after a rigid fit, also of their mirror image.

    One series alone does not show its tilt sense, nor a constant error of all its angles.
    """
    starts = [
        Rotation.from_euler("y", angle_deg, degrees=True).as_matrix() @ np.diag([1.0, 1.0, mirror])
        for mirror in (1, -1)
        for angle_deg in (0, 20, -20)
    ]
    return max(_f1(truth_nm, found_nm @ turn.T, diameter_nm) for turn in starts)


def _f1(truth_nm: Array, found_nm: Array, diameter_nm: float) -> float:
    if not len(found_nm):
        return 0.0
    tree = cKDTree(truth_nm)
    moved = found_nm - found_nm.mean(axis=0) + truth_nm.mean(axis=0)
    for within in (0.9, 0.7, 0.5, 0.4, 0.3, TOLERANCE, TOLERANCE):
        distance, index = tree.query(moved)
        near = distance < within * diameter_nm
        if near.any():
            moved = move_rigidly(moved, moved[near], truth_nm[index[near]])
    distance, index = tree.query(moved)
    hits = len(np.unique(index[distance < TOLERANCE * diameter_nm]))
    return 2 * hits / (len(truth_nm) + len(found_nm))
