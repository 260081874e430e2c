"""Body that the particles fill: its volume, its depth and its own pair distances.

The body is a voxel model: all places near a particle, without the outermost shell, so that its
volume is that of the particles' Voronoi cells. It may be of any shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from processing.series import Bools, Float32, Float64

VOXELS_PER_SPACING = 4.0
MOST_VOXELS = 3_000_000
"""Largest number of voxels; a larger body gets coarser ones."""
REACH = 1.25
"""Distance from a particle up to which a place may belong to the body, in spacings. It is larger
than the holes of a disordered packing, and than the one that a missed particle leaves (1.0), so
that neither counts as a surface inside the body."""


@dataclass(frozen=True, eq=False)
class Envelope:
    """Body that the particles fill.

    Attributes
    ----------
    inside
        [x, y, z], true in the body.
    voxel_nm
        Edge of a voxel.
    depth_nm
        [n], distance of each particle from the body's surface; about half a spacing at the surface.
    volume_nm3
        Volume of the body.
    """

    inside: Bools
    voxel_nm: float
    depth_nm: Float64
    volume_nm3: float


def find_envelope(centres_nm: Float64, spacing_nm: float, cell_nm3: float) -> Envelope:
    """Find the body of the centres [n, 3] that has the volume of n cells."""
    margin = (REACH + 0.5) * spacing_nm
    low = centres_nm.min(axis=0) - margin
    sides = centres_nm.max(axis=0) + margin - low
    voxel = max(spacing_nm / VOXELS_PER_SPACING, float((sides.prod() / MOST_VOXELS) ** (1 / 3)))
    places = (centres_nm - low) / voxel
    free = np.ones(np.ceil(sides / voxel).astype(int) + 1, bool)
    free[tuple(np.rint(places).astype(int).T)] = False
    near = ndimage.distance_transform_edt(free) * voxel < REACH * spacing_nm
    height = ndimage.distance_transform_edt(near)
    wanted = round(len(centres_nm) * cell_nm3 / voxel**3)
    wanted = min(max(wanted, 1), int(near.sum()))
    deepest = np.argpartition(-height, wanted - 1, axis=None)[:wanted]
    surface = float(height.ravel()[deepest].min())
    inside = np.zeros_like(near)
    inside.ravel()[deepest] = True
    depth = ndimage.map_coordinates(height, places.T, order=1) - surface
    return Envelope(inside, voxel, np.maximum(depth, 0.0) * voxel, len(centres_nm) * cell_nm3)


def pair_share(envelope: Envelope, radii_nm: Float64) -> Float64:
    """Return the chance that a point at distance r from a point of the body also lies in the body.

    It is 1 at r = 0 and 0 beyond the body's size; averaged over all points and directions.
    """
    coarse, edge_nm = _halved(envelope.inside), 2 * envelope.voxel_nm
    shape = [fft.next_fast_len(2 * side, real=True) for side in coarse.shape]
    spectrum = fft.rfftn(coarse, shape)
    overlap = fft.irfftn(np.abs(spectrum) ** 2, shape)
    axes = [fft.fftfreq(side, 1 / side) * edge_nm for side in shape]
    squares = np.meshgrid(*[axis**2 for axis in axes], indexing="ij", sparse=True)
    distance = np.sqrt(sum(squares)).ravel()
    bins = (distance / edge_nm).astype(int)
    number = np.bincount(bins)
    share = np.bincount(bins, overlap.ravel()) / number / float((coarse**2).sum())
    middle = np.bincount(bins, distance) / number
    return np.asarray(np.interp(radii_nm, middle, np.clip(share, 0, 1)), np.float64)


def _halved(inside: Bools) -> Float32:
    """Return the share of the body in blocks of eight voxels."""
    padded = np.pad(inside, [(0, side % 2) for side in inside.shape]).astype(np.float32)
    for axis in range(3):
        even, odd = (np.take(padded, range(at, padded.shape[axis], 2), axis) for at in (0, 1))
        padded = np.asarray((even + odd) / 2, np.float32)
    return padded
