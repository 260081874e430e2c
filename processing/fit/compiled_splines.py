"""Splines of the spheres on the CPU: loops over the spheres, compiled.

Each spline is the product of four values along y and four along u. A sparse matrix with all sixteen
of them takes ten times the memory, and to read it takes longer than the calculation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.compiled import compiled
from processing.series import Float32
from processing.splines import TAPS

Int32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class CompiledSplines:
    """Splines of some views (`processing.fit.placed_splines`).

    Attributes
    ----------
    pixels
        Number of pixels of all layer images of one view.
    columns
        Number of pixels in a row.
    corners
        Index of the first pixel under each spline, [view, sphere].
    values, slopes
        Splines and their derivatives along each axis, [view, sphere, (y, u), tap].
    """

    pixels: int
    columns: int
    corners: Int32
    values: Float32
    slopes: Float32

    def select(self, chosen: slice) -> CompiledSplines:
        """Return the splines of some of the views."""
        taken = np.arange(len(self.corners), dtype=np.int32)[chosen]
        moved = (taken - np.arange(len(taken), dtype=np.int32)) * np.int32(self.pixels)
        corners = np.asarray(self.corners[chosen] - moved[:, None], np.int32)
        return CompiledSplines(
            self.pixels, self.columns, corners, self.values[chosen], self.slopes[chosen]
        )

    def spread(self, weights: Float32) -> Float32:
        """Return the layer images of spheres with these weights."""
        layers = self._empty_layers()
        _spread(layers, *self._places, self._flat(self.values), _single(weights))
        return layers

    def spread_changes(self, changes: Float32) -> Float32:
        """Return the change of the layer images by changes of the spheres."""
        layers = self._empty_layers()
        _spread_changes(layers, *self._places, *self._splines, _single(changes))
        return layers

    def read(self, layers: Float32) -> Float32:
        """Return the value of the layer images at each sphere."""
        found = np.empty(self.corners.size, np.float32)
        _read(found, *self._places, self._flat(self.values), _single(layers))
        return found

    def read_slopes(self, layers: Float32) -> Float32:
        """Return value, and slopes along y and u, at each sphere."""
        found = np.empty((3, self.corners.size), np.float32)
        _read_slopes(found, *self._places, *self._splines, _single(layers))
        return found

    @property
    def _places(self) -> tuple[Int32, int]:
        return self.corners.reshape(-1), self.columns

    @property
    def _splines(self) -> tuple[Float32, Float32]:
        return self._flat(self.values), self._flat(self.slopes)

    def _flat(self, splines: Float32) -> Float32:
        return splines.reshape(-1, *splines.shape[2:])

    def _empty_layers(self) -> Float32:
        return np.zeros(len(self.corners) * self.pixels, np.float32)


def _single(values: Float32) -> Float32:
    return np.ascontiguousarray(values, np.float32)


@compiled
def _spread(
    layers: Float32, corners: Int32, columns: int, values: Float32, weights: Float32
) -> None:
    for sphere in range(len(corners)):
        for y in range(TAPS):
            first = corners[sphere] + y * columns
            along_y = weights[sphere] * values[sphere, 0, y]
            for u in range(TAPS):
                layers[first + u] += along_y * values[sphere, 1, u]


@compiled
def _spread_changes(
    layers: Float32,
    corners: Int32,
    columns: int,
    values: Float32,
    slopes: Float32,
    changes: Float32,
) -> None:
    for sphere in range(len(corners)):
        for y in range(TAPS):
            first = corners[sphere] + y * columns
            value, slope = values[sphere, 0, y], slopes[sphere, 0, y]
            kept = changes[0, sphere] * value + changes[1, sphere] * slope
            moved = changes[2, sphere] * value
            for u in range(TAPS):
                layers[first + u] += kept * values[sphere, 1, u] + moved * slopes[sphere, 1, u]


@compiled
def _read(found: Float32, corners: Int32, columns: int, values: Float32, layers: Float32) -> None:
    for sphere in range(len(corners)):
        total = np.float32(0)
        for y in range(TAPS):
            first = corners[sphere] + y * columns
            along_u = np.float32(0)
            for u in range(TAPS):
                along_u += layers[first + u] * values[sphere, 1, u]
            total += along_u * values[sphere, 0, y]
        found[sphere] = total


@compiled
def _read_slopes(
    found: Float32,
    corners: Int32,
    columns: int,
    values: Float32,
    slopes: Float32,
    layers: Float32,
) -> None:
    for sphere in range(len(corners)):
        value = np.float32(0)
        slope_y = np.float32(0)
        slope_u = np.float32(0)
        for y in range(TAPS):
            first = corners[sphere] + y * columns
            value_along = np.float32(0)
            slope_along = np.float32(0)
            for u in range(TAPS):
                pixel = layers[first + u]
                value_along += pixel * values[sphere, 1, u]
                slope_along += pixel * slopes[sphere, 1, u]
            value += value_along * values[sphere, 0, y]
            slope_y += value_along * slopes[sphere, 0, y]
            slope_u += slope_along * values[sphere, 0, y]
        found[0, sphere] = value
        found[1, sphere] = slope_y
        found[2, sphere] = slope_u
