"""Structure of a live count in one line."""

from __future__ import annotations

import numpy as np
import pytest

from processing import Count, ParticleTable
from processing.live.live_structure import structure_line
from processing.results import Trust, Verdict
from tests.support.spheres import packed

POINTS = packed(20, 7.7, order="fcc", seed=3)
N = len(POINTS)


def line(state: Trust | None, low: int, high: int, particles: int = N) -> str:
    points = np.vstack([POINTS[:particles], POINTS[:5] + 300.0])  # five of another object
    number = particles + 5
    beside = np.arange(number) >= particles
    table = ParticleTable(points, np.full(number, 6.3), np.ones(number), beside)
    verdict = None if state is None else Verdict(state=state)
    return structure_line(table, Count(n=N, n_low=low, n_high=high, verdict=verdict))


@pytest.mark.parametrize(
    ("found", "shown"),
    [
        pytest.param(line(None, N, N), "fcc 100 %, 1 grain", id="not judged"),
        pytest.param(line(Trust.DOUBTFUL, N, N), "fcc 100 %, 1 grain (doubtful)", id="doubtful"),
        pytest.param(line(Trust.REFUSED, N, N), "", id="refused"),
        pytest.param(line(Trust.TRUSTED, N // 2, 2 * N), "", id="too uncertain"),
        pytest.param(line(Trust.TRUSTED, N, N, particles=12), "", id="too few"),
    ],
)
def test_a_live_count_has_the_structure_it_deserves(found: str, shown: str) -> None:
    assert found == shown
