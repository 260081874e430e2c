"""When a growing series has enough tilts: a table of histories of live counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from processing.live.more_tilts import CountSoFar, largest_gap_deg, what_more_tilts_add
from processing.results import Cause, Count, Trust, Verdict

TRUSTED = Verdict(state=Trust.TRUSTED)
EXIT_SIDE = Verdict(state=Trust.DOUBTFUL, reasons=("blur",), causes=(Cause.EXIT_SIDE,))
COARSE = Verdict(
    state=Trust.DOUBTFUL, reasons=("blur", "step"), causes=(Cause.EXIT_SIDE, Cause.UNDERSAMPLED)
)
REFUSED = Verdict(state=Trust.REFUSED, reasons=("noise",), causes=(Cause.NOISE,))


def counts(
    *numbers: int, half: int = 4, verdict: Verdict | None = TRUSTED, gap: float = 0.8
) -> list[CountSoFar]:
    """Return live counts after 8, 16, ... tilts."""
    return [
        CountSoFar(8 * i, Count(n=n, n_low=n - half, n_high=n + half, verdict=verdict), gap)
        for i, n in enumerate(numbers, start=1)
    ]


@dataclass(frozen=True)
class Case:
    name: str
    history: list[CountSoFar]
    missing: str


CASES = [
    Case("three counts agree", counts(201, 200, 201), ""),
    Case("earlier counts do not matter", counts(90, 150, 201, 200, 201), ""),
    Case("two counts agree", counts(201, 201), "one more count"),
    Case("one of three is off", counts(190, 200, 201), "the count still changes by more than 2"),
    Case("a steady loss", counts(1000, 988, 976), "the count still changes by more than 10"),
    Case("few particles", counts(12, 13, 12, half=2), ""),
    Case("a wide interval", counts(201, 200, 201, half=9), "the interval is wider than 3%"),
    Case("blur that only B removes", counts(201, 200, 201, verdict=EXIT_SIDE), ""),
    Case("tilts too far apart", counts(201, 200, 201, verdict=COARSE), "a count is doubtful"),
    Case("refused", counts(201, 200, 201, verdict=REFUSED), "a count is doubtful"),
    Case("not judged", counts(201, 200, 201, verdict=None), "a count is doubtful"),
    Case(
        "doubtful just before",
        [*counts(201, 200, verdict=COARSE), *counts(201, 201, 201)[2:]],
        "a count is doubtful",
    ),
    Case(
        "a range of tilts is missing",
        counts(201, 200, 201, gap=1.6),
        "the tilts leave gaps that are too wide for the object",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_series_has_enough_tilts_only_if_nothing_is_missing(case: Case) -> None:
    judged = what_more_tilts_add(case.history, 30)
    assert judged is not None
    assert (judged.missing, judged.enough) == (case.missing, not case.missing)


def test_one_count_tells_nothing() -> None:
    assert what_more_tilts_add(counts(201), 30) is None


def test_the_expected_change_lies_in_its_range() -> None:
    for history in (counts(100, 160, 190), counts(200, 200, 200), counts(230, 210, 200)):
        judged = what_more_tilts_add(history, 24)
        assert judged is not None and judged.tilts_left == 24
        assert judged.change_low <= judged.change <= judged.change_high
        signs = [np.sign(b.count.n - a.count.n) for a, b in pairwise(history)]
        assert np.sign(judged.change) == signs[-1]


def test_the_ends_of_the_planned_range_count_as_tilts() -> None:
    assert largest_gap_deg(np.array([-40.0, -36.0, 0.0]), [-70.0, 0.0, 2.0]) == 36.0
    assert largest_gap_deg(np.array([-40.0, -36.0, 0.0]), [-80.0, 0.0, 2.0]) == 40.0
