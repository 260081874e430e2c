"""The spheres, and one image of a tilt series with the place that it sees them from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from processing.combine.pose import Pose
from processing.fit.camera import LAYERS, Camera, Ints, Spectrum
from processing.series import Float32, Float64, TiltSeries

COLUMN_DIAMETERS = 1.5
"""Width of the columns in which the beam's way is counted."""
REAL = 0.3
"""Least amplitude of what the beam has met; less is the solver's dust."""


@dataclass(frozen=True, eq=False)
class Spheres:
    """Equal spheres.

    Attributes
    ----------
    centres_nm
        [n, 3] (x, y, z) from the volume's centre.
    amplitudes
        [n]; 1 is a typical particle, 0 none at all.
    """

    centres_nm: Float64
    amplitudes: Float64

    @property
    def weights(self) -> Float32:
        """The amplitudes, as images have them."""
        return self.amplitudes.astype(np.float32)


@dataclass(frozen=True, eq=False)
class View:
    """An image, and the way from the specimen to it.

    Attributes
    ----------
    camera
        Of the image's shape and pixel.
    spectrum
        Of the image, in the camera's band.
    axes
        [3, 3]: y, u and depth along the beam, pixels, from (x, y, z), nm.
    offset
        (y, u), pixels.
    series
        Which one it belongs to.
    """

    camera: Camera
    spectrum: Spectrum
    axes: Float64
    offset: Float64
    series: int

    def points(self, centres_nm: Float64) -> Float64:
        """Where centres [n, 3] show, [n, (y, u)], pixels from the image's centre."""
        return np.asarray(centres_nm @ self.axes[:2].T + self.offset, np.float64)

    def depth(self, centres_nm: Float64) -> Float64:
        """How far down the beam centres [n, 3] lie, pixels."""
        return np.asarray(centres_nm @ self.axes[2], np.float64)


def views_of(
    series: TiltSeries, diameter_nm: float, pose: Pose | None = None, index: int = 0
) -> list[View]:
    """Every image of an aligned series; `pose` brings its frame onto the specimen's."""
    camera = Camera(series.images.shape[1:], diameter_nm / series.pixel_nm)
    views = []
    for image, angle_deg in zip(series.images, series.angles_deg, strict=True):
        cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        axes = np.array([[0.0, 1.0, 0.0], [cos, 0.0, sin], [sin, 0.0, -cos]])
        axes /= series.pixel_nm
        offset = np.zeros(2)
        if pose is not None:
            back = pose.inverse()
            offset = (axes @ back.shift_nm)[:2]
            axes = back.scale * axes @ back.matrix
        views.append(View(camera, camera.spectrum(image), axes, offset, index))
    return views


def met_before(view: View, centres_nm: Float64, amplitudes: Float64) -> Float64:
    """Particles that the beam has met before each of them, [n]; dust has its neighbour's number."""
    points, depth = view.points(centres_nm), view.depth(centres_nm)
    real = amplitudes > REAL
    if not real.any():
        return np.zeros(len(centres_nm))
    width_px = COLUMN_DIAMETERS * view.camera.diameter_px
    # columns lie still, about the tilt axis: one outlier more must not move them all
    row, place = np.floor(points[real] / width_px).astype(np.int64).T
    column = row * (np.ptp(place) + 1) + place - place.min()
    order = np.lexsort([depth[real], column])
    in_order = column[order]
    met = np.empty(len(column))
    met[order] = np.arange(len(column)) - np.searchsorted(in_order, in_order)
    result = np.empty(len(centres_nm))
    result[real] = met
    if not real.all():
        place = np.column_stack([points, depth])
        result[~real] = met[cKDTree(place[real]).query(place[~real])[1]]
    return result


def layers(met: Float64, met_at_most: float) -> Ints:
    """Layer of each particle, 0..LAYERS-1, by the number that the beam has met before it."""
    return np.minimum((met * LAYERS / met_at_most).astype(np.int64), LAYERS - 1)
