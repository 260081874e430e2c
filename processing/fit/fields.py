"""Smooth fields of displacements by which a specimen deforms, and their course in time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from processing.fit.imager import Ints
from processing.series import Float64

LINEAR, TERMS = 3, 9
"""Number of terms of a linear field, and of a quadratic one."""


def field_terms(centres_nm: Float64) -> Float64:
    """Return the terms [n, 9] of the field at places [n, 3]: x, y, z and their products."""
    x, y, z = centres_nm.T
    return np.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


class Kind(Enum):
    """Kinds of fields, from few unknowns to many."""

    SIZE = "width and height"
    """Changes of the width, alike along x and y, and of the height along z."""
    SIMPLE = "width, height, lean, unevenness"
    """Also a lean of the height along x and y, and a mean strain that changes along x, y and z."""

    @property
    def fields(self) -> Float64:
        """Return the fields that are added, as coefficients [field, 9, 3] of `field_terms`.

        Their size at the distance 1 is about 1.
        """
        size = np.zeros((2, TERMS, 3))
        size[0, [0, 1], [0, 1]] = size[1, 2, 2] = 1.0
        if self is Kind.SIZE:
            return size
        lean = np.zeros((2, TERMS, 3))
        lean[0, 2, 0] = lean[1, 2, 1] = 1.0
        return np.concatenate([size, lean, _uneven()])


def _uneven() -> Float64:
    """Return fields [3, 9, 3] whose strain is alike in all directions and grows along x, y and z.

    They are special conformal maps: x a - a x^2 / 2 for a place x and a direction a.
    """
    fields = np.zeros((3, TERMS, 3))
    products = {(0, 1): 6, (0, 2): 7, (1, 2): 8}
    for along in range(3):
        for axis in range(3):
            fields[along, LINEAR + axis, along] += 0.5 if axis == along else -0.5
            if axis != along:
                fields[along, products[min(axis, along), max(axis, along)], axis] += 1.0
    return fields


@dataclass(frozen=True)
class Part:
    """Part of a deformation.

    Attributes
    ----------
    series
        Index of the series.
    kind
        Fields that it adds.
    pace
        Time constant in durations of the series. None for a constant difference of the series
        from the first one.
    """

    series: int
    kind: Kind
    pace: float | None

    @property
    def unknowns(self) -> int:
        """Number of coefficients, and 1 for a time constant that is finite."""
        return len(self.kind.fields) + (self.pace is not None and np.isfinite(self.pace))

    def course(self, elapsed: Float64, series: Ints) -> Float64:
        """Return the factor of the coefficients in each view, [view]; 0 in other series.

        Over its own series it grows by 1; its mean over evenly spaced images is 0.
        """
        if self.pace is None:
            factor = np.ones(len(elapsed))
        elif np.isfinite(self.pace):
            whole = -np.expm1(-1 / self.pace)
            factor = -np.expm1(-elapsed / self.pace) / whole - (1 / whole - self.pace)
        else:
            factor = elapsed - 0.5
        return np.asarray(np.where(series == self.series, factor, 0.0), np.float64)
