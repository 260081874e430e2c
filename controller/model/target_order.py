"""Order of the targets on a grid, so that the stage moves little between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

MOST_EXACT = 10
"""Largest number of targets whose order is found by comparing all orders."""


def shortest_order(places_nm: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the order of places (x, y) in which the stage moves least, beginning at its zero.

    The shortest of all orders up to `MOST_EXACT` places; more are improved by reversing parts.
    """
    if len(places_nm) <= MOST_EXACT:
        return _best_of_all(places_nm)
    return _improved(places_nm, _nearest_next(places_nm))


def path_nm(places_nm: Sequence[tuple[float, float]], order: Sequence[int]) -> float:
    """Return the length of the stage's way from its zero through the places (nm)."""
    way = [(0.0, 0.0), *(places_nm[index] for index in order)]
    return sum(math.dist(a, b) for a, b in pairwise(way))


def _best_of_all(places_nm: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the shortest order (Held and Karp 1962): best ends of all subsets, by size."""
    count = len(places_nm)
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {
        (1 << last, last): (math.hypot(*places_nm[last]), (last,)) for last in range(count)
    }
    for _ in range(count - 1):
        longer: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
        for (visited, last), (length, order) in best.items():
            for following in range(count):
                if visited & (1 << following):
                    continue
                key = (visited | (1 << following), following)
                reached = length + math.dist(places_nm[last], places_nm[following])
                if key not in longer or reached < longer[key][0]:
                    longer[key] = (reached, (*order, following))
        best = longer
    return min(best.values(), default=(0.0, ()))[1]


def _nearest_next(places_nm: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return an order that always continues with the nearest place."""
    order: list[int] = []
    here, left = (0.0, 0.0), set(range(len(places_nm)))
    while left:
        index = min(left, key=lambda i: (math.dist(here, places_nm[i]), i))
        order.append(index)
        left.remove(index)
        here = places_nm[index]
    return tuple(order)


def _improved(places_nm: Sequence[tuple[float, float]], order: tuple[int, ...]) -> tuple[int, ...]:
    """Reverse parts of the order as long as that shortens the way."""
    length, shorter = path_nm(places_nm, order), True
    while shorter:
        shorter = False
        for i in range(len(order) - 1):
            for j in range(i + 2, len(order) + 1):
                tried = (*order[:i], *reversed(order[i:j]), *order[j:])
                if (reached := path_nm(places_nm, tried)) < length - 1e-9:
                    order, length, shorter = tried, reached, True
    return order
