"""Aligned images of the whole field, padded to the region that the tilts bring into view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.align.alignment import Alignment
from processing.series import Float32, Float64, TiltSeries

REACH = 1.0
"""Width of the padding on either side across the tilt axis, in widths of the field."""
RIM_PX = 8
"""Padding along the tilt axis: nothing farther away shows at any tilt."""


@dataclass(frozen=True, eq=False)
class PaddedSeries:
    """Aligned images, padded, and the pixels of them that were recorded (1) or not (0)."""

    series: TiltSeries
    known: Float32


def padding_px(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the padding (y, x) on either side of images of this shape (rows, columns)."""
    return RIM_PX, round(REACH * shape[1])


def pad_aligned(series: TiltSeries, alignment: Alignment, chosen: NDArray[np.intp]) -> PaddedSeries:
    """Shift, rotate and pad the chosen images in one cubic interpolation."""
    rows, columns = series.images.shape[1:]
    pad = padding_px((rows, columns))
    shape = rows + 2 * pad[0], columns + 2 * pad[1]
    turn = axis_turn(alignment.tilt_axis_deg)
    grid = np.indices(shape) - (np.array(shape)[:, None, None] - 1) / 2
    middle = (np.array([rows, columns]) - 1) / 2
    images = np.zeros((len(chosen), *shape), np.float32)
    known = np.zeros_like(images)
    for number, tilt in enumerate(chosen):
        offset = middle + alignment.shifts_px[tilt]
        places = np.einsum("ij,jyx->iyx", turn, grid) + offset[:, None, None]
        inside = (places >= 0) & (places <= 2 * middle[:, None, None])
        known[number] = inside.all(axis=0)
        moved = ndimage.map_coordinates(series.images[tilt], places, order=3, mode="nearest")
        images[number] = moved * known[number]
    padded = replace(
        series,
        images=images,
        angles_deg=alignment.angles_deg[chosen],
        excluded=np.zeros(len(chosen), bool),
        tilt_axis_deg=0.0,
        other_angles=(),
    )
    return PaddedSeries(padded, known)


def axis_turn(axis_deg: float) -> Float64:
    """Return the matrix that turns a point (y, x) of the aligned images to the raw images."""
    cos, sin = np.cos(np.deg2rad(axis_deg)), np.sin(np.deg2rad(axis_deg))
    return np.array([[cos, sin], [-sin, cos]])
