"""Targets: several assemblies on one grid, each recorded as a session of its own around one flip.

A protocol without `targets` is a session of one assembly. With `targets` and no `target` it is the
grid: its own session flips the grid and finds the targets again. With both it is the session of
one target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Annotated, Any

from pydantic import Field, JsonValue

from controller.common.settings_file import NAME_PATTERN
from controller.model.base import Data, Finite, Positive, Settings

OVERRIDABLE = ("scan", "shower", "series_a", "series_b", "limits", "processing")
"""Sections of the protocol that a target may change."""

Changes = dict[str, JsonValue]


class Target(Settings):
    """One assembly: its place on the grid, and the settings that differ for it."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name of the target, also that of its session's folder."""
    x_nm: Finite
    """Stage position in x that centres the assembly before the flip (nm)."""
    y_nm: Finite
    """Stage position in y that centres the assembly before the flip (nm)."""
    z_nm: Finite = 0.0
    """Stage position in z before the flip (nm)."""
    scan: Changes = Field(default_factory=dict)
    """Settings of `scan` that differ for this target."""
    shower: Changes = Field(default_factory=dict)
    """Settings of `shower` that differ for this target."""
    series_a: Changes = Field(default_factory=dict)
    """Settings of `series_a` that differ for this target."""
    series_b: Changes = Field(default_factory=dict)
    """Settings of `series_b` that differ for this target."""
    limits: Changes = Field(default_factory=dict)
    """Settings of `limits` that differ for this target."""
    processing: Changes = Field(default_factory=dict)
    """Settings of `processing` that differ for this target."""


class GridSettings(Settings):
    """Search for the targets after the flip."""

    search_nm: Positive = 2000.0
    """Largest shift of the grid in the holder by the flip; so far beyond the targets the survey
    after the flip reaches (nm)."""
    tolerance_nm: Positive = 100.0
    """Largest difference of a target's position on the survey from the common fit (nm)."""


def with_changes(content: Mapping[str, Any], target: Target) -> dict[str, Any]:
    """Return the content of a protocol with the settings of a target."""
    merged = {**content, "target": target.name}
    for section in OVERRIDABLE:
        merged[section] = {**content[section], **getattr(target, section)}
    return merged


@dataclass(frozen=True)
class Field2D:
    """Extent of what a target's session exposes and records, from the target's position.

    Attributes
    ----------
    name, x_nm, y_nm
        The target.
    exposed_x_nm, exposed_y_nm
        Half of the field that is exposed before the flip, along x and y on the grid.
    exposed_nm
        Half of the field that is exposed after the flip, in any direction: the in-plane angle is
        not known.
    object_nm
        Half of the field that is recorded: the object lies within it.
    """

    name: str
    x_nm: float
    y_nm: float
    exposed_x_nm: float
    exposed_y_nm: float
    exposed_nm: float
    object_nm: float


def neighbours_exposed(fields: Sequence[Field2D]) -> Iterator[str]:
    """Give one line for each target whose exposures reach a neighbour.

    No order of the targets avoids this: while one is exposed, the other is not finished.
    """
    for one, other in permutations(fields, 2):
        dx_nm, dy_nm = abs(one.x_nm - other.x_nm), abs(one.y_nm - other.y_nm)
        distance_nm = math.hypot(dx_nm, dy_nm)
        before_x_nm = one.exposed_x_nm + other.object_nm
        before_y_nm = one.exposed_y_nm + other.object_nm
        after_nm = one.exposed_nm + other.object_nm
        if (dx_nm < before_x_nm and dy_nm < before_y_nm) or distance_nm < after_nm:
            needed_nm = max(after_nm, before_x_nm)
            yield (
                f"exposures of {one.name} reach {other.name}, {distance_nm:.0f} nm away; "
                f"{needed_nm:.0f} nm are needed at these tilts: leave one of them out"
            )


MOST_EXACT = 10
"""Largest number of targets whose order is found by comparing all orders."""


def shortest_order(places_nm: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the order of places in which the stage moves least, beginning at its zero.

    The shortest of all orders up to `MOST_EXACT` places; more are improved by reversing parts.
    """
    if len(places_nm) <= MOST_EXACT:
        return _best_of_all(places_nm)
    return _improved(places_nm, _nearest_next(places_nm))


def path_nm(places_nm: Sequence[tuple[float, float]], order: Sequence[int]) -> float:
    """Return the length of the stage's way from its zero through the places."""
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


class FoundTargets(Data):
    """Targets found again on the flipped grid."""

    detail: str
    """Finding in one line."""
    in_plane_deg: float | None
    """Rotation of the grid in its plane; None if it is not known."""
    places_nm: dict[str, tuple[tuple[float, float], ...]]
    """Stage positions (x, y) at which each target may be, the most likely first."""
    seen: tuple[str, ...]
    """Targets that lie where all others together put them."""
