"""A place of both series is doubted where each series alone is unsure of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.files.particles import ParticleTable
from processing.pipeline.detect import Detection
from processing.pipeline.uncertain_in_both import with_uncertain_places
from processing.results import Cause, Count, Trust, Verdict
from tests.support.spheres import packed

Array = NDArray[np.float64]

PLACES = packed(40, 7.7, order="fcc", seed=3)
HEIGHT = PLACES[:, 2] / np.abs(PLACES[:, 2]).max()
"""Height of each particle, from -1 at the exit side of A to 1 at its entrance."""


def exit_side(unsure_below: float, confidence: float) -> Callable[[Array], Array]:
    """Return the confidences of a series that is unsure of all places below a height."""
    return lambda height: np.where(height < unsure_below, confidence, 1.0)


@dataclass(frozen=True)
class Case:
    name: str
    alone: Callable[[Array], Array]
    """Confidence in A by the height; B is the same from the opposite side."""
    doubted: tuple[float, float]
    """Least and largest share of the particles that is doubted."""
    state: Trust = Trust.TRUSTED


CASES = [
    Case("sure", exit_side(-2.0, 0.5), (0.0, 0.0)),
    Case("each unsure of its exit third", exit_side(-0.33, 0.3), (0.0, 0.003)),
    Case("both unsure of the middle", exit_side(0.33, 0.6), (0.05, 0.11), Trust.DOUBTFUL),
    Case("a doubt of all particles", exit_side(2.0, 0.7), (0.0, 0.0)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_places_are_doubted_where_both_series_are_unsure(case: Case) -> None:
    number = len(PLACES)
    alone = [
        ParticleTable(PLACES, np.full(number, 6.3), case.alone(side * HEIGHT)) for side in (1, -1)
    ]
    found = with_uncertain_places(fused(Verdict(state=Trust.TRUSTED)), alone)
    doubted = 1 - found.table.confidence.mean()
    assert case.doubted[0] <= doubted <= case.doubted[1]
    verdict = found.count.verdict
    assert verdict is not None and verdict.state is case.state
    expected = doubted * number
    assert found.count.n_low <= number - expected and found.count.n_high >= number + expected
    assert (Cause.UNDERSAMPLED in verdict.causes) == (case.state is Trust.DOUBTFUL)


def test_a_refused_count_stays_as_it_is() -> None:
    given = fused(Verdict(state=Trust.REFUSED, reasons=("noise",), causes=(Cause.NOISE,)))
    unsure = ParticleTable(PLACES, np.full(len(PLACES), 6.3), np.full(len(PLACES), 0.2))
    assert with_uncertain_places(given, (unsure, unsure)) is given


def fused(verdict: Verdict) -> Detection:
    """Return particles of both series, all certain."""
    number = len(PLACES)
    table = ParticleTable(PLACES, np.full(number, 6.3), np.ones(number))
    count = Count(n=number, n_low=number - 1, n_high=number + 1, verdict=verdict)
    return Detection(PLACES, table, count, 0.5)
