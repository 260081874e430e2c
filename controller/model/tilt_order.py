"""Recording order of the tilts of a series.

The dose-symmetric order is that of Hagen, Wan and Briggs, J. Struct. Biol. 2017, 197, 191: low
tilts first, while the specimen is least damaged, alternating between the two sides.

The golden-ratio order is that of Craig, Kadu, Batenburg and Bals, Nanoscale 2023, 15, 5391: each
tilt lies the golden section of the range beyond the one before. However many tilts are recorded,
they cover the whole range almost evenly, so that the series can end at any of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

TiltOrder = Literal["one-way", "bidirectional", "dose-symmetric", "golden"]

GOLDEN_SECTION = (math.sqrt(5) - 1) / 2
"""Distance from one tilt of the golden-ratio order to the next, as a fraction of the range."""


def recording_order(
    tilts_deg: Sequence[float], order: TiltOrder, first_deg: float, group: int
) -> tuple[float, ...]:
    """Return tilts in the order of recording.

    Parameters
    ----------
    tilts_deg
        Tilts from start to stop, ascending or descending.
    order
        One-way: as given. Bidirectional: from `first_deg` to the stop, then from `first_deg` to
        the start. Dose-symmetric: from `first_deg` outwards, alternating between the sides.
        Golden: from `first_deg` in steps of the golden section of the range, each rounded to the
        nearest tilt that is not recorded yet. The complete series has the same tilts in any order.
    first_deg
        The tilt nearest to it is recorded first; ignored for the one-way order.
    group
        Number of tilts recorded on one side before changing to the other. The first group is
        half as large, so that neither side gets far ahead: 2 gives Hagen's 0, +1, -1, -2, +2, +3,
        -3, -4 steps.
    """
    if order == "one-way":
        return tuple(tilts_deg)
    first = min(range(len(tilts_deg)), key=lambda i: abs(tilts_deg[i] - first_deg))
    if order == "golden":
        return tuple(tilts_deg[index] for index in _golden_indices(len(tilts_deg), first))
    after, before = tilts_deg[first + 1 :], tilts_deg[:first][::-1]
    if order == "bidirectional":
        return (tilts_deg[first], *after, *before)
    return (tilts_deg[first], *_alternate(after, before, group))


def _alternate(one: Sequence[float], other: Sequence[float], group: int) -> tuple[float, ...]:
    """Alternate between both sides in groups; the rest of the longer side comes at the end."""
    taken: list[float] = []
    take = max(1, group // 2)
    while one:
        taken += one[:take]
        one, other, take = other, one[take:], group
    return (*taken, *other)


def _golden_indices(count: int, first: int) -> list[int]:
    """Order 0 .. `count` - 1 by golden-section steps around the range, beginning at `first`."""
    left = list(range(count))
    taken: list[int] = []
    for number in range(count):
        place = (first + 0.5 + number * GOLDEN_SECTION * count) % count - 0.5
        taken.append(min(left, key=lambda index: abs(index - place)))
        left.remove(taken[-1])
    return taken
