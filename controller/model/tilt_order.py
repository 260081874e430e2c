"""In which order a series' tilts are recorded; pure.

The dose-symmetric order is that of Hagen, Wan and Briggs, J. Struct. Biol. 2017, 197, 191: the
low tilts first, while the specimen is freshest, the two sides in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

TiltOrder = Literal["one-way", "bidirectional", "dose-symmetric"]


def in_order(
    tilts_deg: Sequence[float], order: TiltOrder, first_deg: float, group: int
) -> tuple[float, ...]:
    """Put tilts, given from the start to the stop, into the order of recording.

    Parameters
    ----------
    tilts_deg
        From start to stop, ascending or descending.
    order
        One way: as they are. Bidirectional: from `first_deg` to the stop, then back from there
        to the start. Dose-symmetric: from `first_deg` outwards, on both sides in turn.
    first_deg
        The tilt nearest to it is recorded first; one way it counts for nothing.
    group
        Tilts on one side before the other has its turn. The first group is half of one, so that
        neither side gets far ahead: 2 gives Hagen's 0, +1, -1, -2, +2, +3, -3, -4 steps.
    """
    if order == "one-way":
        return tuple(tilts_deg)
    first = min(range(len(tilts_deg)), key=lambda i: abs(tilts_deg[i] - first_deg))
    onwards, back = tilts_deg[first + 1 :], tilts_deg[:first][::-1]
    if order == "bidirectional":
        return (tilts_deg[first], *onwards, *back)
    return (tilts_deg[first], *_in_turn(onwards, back, group))


def _in_turn(one: Sequence[float], other: Sequence[float], group: int) -> tuple[float, ...]:
    """Take from both sides in turn; what one side has left over comes at the end."""
    taken: list[float] = []
    take = max(1, group // 2)
    while one:
        taken += one[:take]
        one, other, take = other, one[take:], group
    return (*taken, *other)
