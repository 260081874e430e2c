"""The analysis repeated with the errors of the positions added once more.

What the errors change when they are added a second time is about what they changed the first time:
the bias that they cause, and the chance of single particles. So the root mean square change over
the repeats is the error of a number, and the share of the repeats that show a grain, a plane or a
particle's structure again says how sure it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from processing.series import Float64
from processing.structure.arrangement import Arrangement, find_arrangement
from processing.structure.assembly import Ints
from processing.structure.neighbours import find_neighbours, first_shell
from processing.structure_results import Measured

REPEATS = 4
"""Each takes as long as the analysis itself. The error from four is known within a third."""
MISSED = 0.01
"""Share of the particles that are removed before; about as many are missed by a reconstruction."""
SAME_MEMBERS = 0.5
"""Smallest share of the particles that a grain or plane has in common with the same one."""


@dataclass(frozen=True, eq=False)
class Repeats:
    """An arrangement, and those of its places after their errors were added again."""

    first: Arrangement
    others: list[Arrangement]

    def change(self, value: Callable[[Arrangement], Float64]) -> Float64:
        """Return the root mean square change of a value, or of each of several.

        A repeat that does not have a value (NaN) is not counted; without any the change is 0.
        """
        return root_mean_square(
            np.array([value(other) for other in self.others]) - value(self.first)
        )

    def change_of_number(self, number: Callable[[Arrangement], int]) -> float:
        """Return the root mean square change of a number of particles or grains."""
        return float(self.change(lambda one: np.array(float(number(one)))))

    def measure(self, value: Callable[[Arrangement], float], own_error: float) -> Measured:
        """Return a number, with the error that it has itself and that of the positions.

        A number that the arrangement does not have (NaN) is 0, with the error 0.
        """
        own = value(self.first)
        if not np.isfinite(own):
            return Measured(value=0.0, error=0.0)
        change = self.change(lambda one: np.array(value(one)))
        return Measured(value=own, error=float(np.hypot(own_error, change)))

    def change_of_particles(self, value: Callable[[Arrangement], Float64]) -> Float64:
        """Return the root mean square change of a value of each particle, [n]."""
        return root_mean_square(self._of_particles(value) - value(self.first))

    def same_structure(self) -> Float64:
        """Return the share of the repeats in which each particle has the same structure, [n]."""
        found = self._of_particles(lambda one: one.structure.astype(float))
        shown = np.isfinite(found)
        same = (found == self.first.structure).sum(axis=0)
        return np.asarray(same / np.maximum(shown.sum(axis=0), 1), np.float64)

    def found_again(
        self, members: Ints, groups: Callable[[Arrangement], list[Ints]]
    ) -> list[tuple[Arrangement, int]]:
        """Return the repeats that show a group of particles again, and its place among theirs.

        It is the group that has more than half of its particles, and of those of the first
        arrangement (`members`), in common with it.
        """
        found = [(other, _same(members, other.members, groups(other))) for other in self.others]
        return [(other, at) for other, at in found if at is not None]

    def _of_particles(self, value: Callable[[Arrangement], Float64]) -> Float64:
        found = np.full((len(self.others), len(self.first.members)), np.nan)
        for row, other in zip(found, self.others, strict=True):
            row[other.members] = value(other)
        return found


def repeat(first: Arrangement, error_nm: Float64 | float) -> Repeats:
    """Repeat the analysis with position errors added, and some particles removed.

    Parameters
    ----------
    error_nm
        Errors of each particle, [n, 3], or of all.
    """
    rng = np.random.default_rng(0)
    return Repeats(first, [_once_more(first, error_nm, rng) for _ in range(REPEATS)])


def _once_more(
    first: Arrangement, error_nm: Float64 | float, rng: np.random.Generator
) -> Arrangement:
    kept = rng.random(len(first.members)) >= MISSED
    centres_nm = (first.centres_nm + error_nm * rng.standard_normal((len(kept), 3)))[kept]
    neighbours = find_neighbours(centres_nm, *first_shell(centres_nm))
    return find_arrangement(first.members[kept], centres_nm, neighbours, first.correlations.r_nm)


def _same(own: Ints, numbers: Ints, groups: list[Ints]) -> int | None:
    for at, group in enumerate(groups):
        common = len(np.intersect1d(own, numbers[group], assume_unique=True))
        if common > SAME_MEMBERS * max(len(own), len(group)):
            return at
    return None


def root_mean_square(changes: Float64) -> Float64:
    """Return the root mean square along the first axis, without NaN."""
    known = np.isfinite(changes)
    squares = np.where(known, changes, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)), np.float64)
