"""Cubic B-splines at the projected places of the spheres, on the pixels of the layer images."""

from __future__ import annotations

from typing import Protocol

from processing.device import Array


class PlacedSplines(Protocol):
    """One spline for each sphere in each view, in the layer image of its slot.

    Values of the spheres are [view and sphere], layer images [view, slot and pixel], both flat and
    in single precision.
    """

    def select(self, chosen: slice) -> PlacedSplines:
        """Return the splines of some of the views."""
        ...

    def spread(self, weights: Array) -> Array:
        """Return the layer images of spheres with these weights."""
        ...

    def spread_changes(self, changes: Array) -> Array:
        """Return the change of the layer images by changes of the spheres.

        Parameters
        ----------
        changes
            [3, view and sphere], of the weight, and displacements along y and u (px) times weight.
        """
        ...

    def read(self, layers: Array) -> Array:
        """Return the value of the layer images at each sphere: the adjoint of `spread`."""
        ...

    def read_slopes(self, layers: Array) -> Array:
        """Return value, and slopes along y and u, at each sphere, [3, view and sphere].

        This is the adjoint of `spread_changes`.
        """
        ...
