"""Spheres, and views: images of a tilt series together with their projection geometry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from processing.combine.pose import Pose
from processing.fit.imager import (
    LAYERS,
    ONE_KIND,
    Ints,
    Spectrum,
    SphereImager,
    SphereKind,
)
from processing.series import Bools, Float32, Float64, TiltSeries

COLUMN_DIAMETERS = 1.5
"""Width of the beam columns in which crossed particles are counted, in sphere diameters."""
LEAST_AMPLITUDE = 0.3
"""Smallest amplitude of a particle. Weaker candidates count as false."""


@dataclass(frozen=True, eq=False)
class Spheres:
    """Candidate particles, as spheres of one or several kinds.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z) from the centre of the volume.
    amplitudes
        [n]; 1 is a typical particle of its kind, 0 no particle.
    kinds
        [n], number of the kind of each, from 0; None for one kind.
    """

    centres_nm: Float64
    amplitudes: Float64
    kinds: Ints | None = None

    @property
    def are_particles(self) -> Bools:
        """Candidates with the amplitude of a particle, [n]."""
        return self.amplitudes > LEAST_AMPLITUDE

    @cached_property
    def nearest_particles(self) -> Ints:
        """Number among the particles of the one nearest to each false candidate.

        Every view shows the specimen to scale, so it is the nearest there too.
        """
        particles = self.are_particles
        tree = cKDTree(self.centres_nm[particles])
        return np.asarray(tree.query(self.centres_nm[~particles])[1], np.int64)

    @property
    def weights(self) -> Float32:
        """Amplitudes in single precision, as the images have."""
        return self.amplitudes.astype(np.float32)


@dataclass(frozen=True, eq=False)
class View:
    """One image and its projection geometry.

    Attributes
    ----------
    imager
        Forward model for images of this shape and pixel size.
    spectrum
        Spectrum of the image, limited to the band of the imager.
    axes
        [3, 3], maps (x, y, z) in nm to y, u and depth along the beam in pixels.
    offset
        Shift (y, u), pixels.
    series
        Index of the tilt series, from 0.
    """

    imager: SphereImager
    spectrum: Spectrum
    axes: Float64
    offset: Float64
    series: int

    def project(self, centres_nm: Float64) -> Float64:
        """Project centres [n, 3] to [n, (y, u)], pixels from the centre of the image."""
        return np.asarray(centres_nm @ self.axes[:2].T + self.offset, np.float64)

    def depth(self, centres_nm: Float64) -> Float64:
        """Return the depth of centres [n, 3] along the beam, pixels."""
        return np.asarray(centres_nm @ self.axes[2], np.float64)


def views_of(
    series: TiltSeries,
    diameter_nm: float,
    pose: Pose | None = None,
    index: int = 0,
    kinds: tuple[SphereKind, ...] = ONE_KIND,
) -> list[View]:
    """Return one view for each image of an aligned series.

    Parameters
    ----------
    pose
        Pose that brings the frame of the series onto that of the spheres; None if they are equal.
    index
        Index of the series.
    kinds
        Kinds of spheres; `diameter_nm` is that of the first.
    """
    imager = SphereImager(series.images.shape[1:], diameter_nm / series.pixel_nm, kinds)
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
        views.append(View(imager, imager.spectrum(image), axes, offset, index))
    return views


def particles_crossed(view: View, spheres: Spheres) -> Float64:
    """Count the particles that the beam crosses before it reaches each candidate, [n].

    A false candidate gets the number of the nearest particle.
    """
    points, depth = view.project(spheres.centres_nm), view.depth(spheres.centres_nm)
    particles = spheres.are_particles
    if not particles.any():
        return np.zeros(len(points))
    width_px = COLUMN_DIAMETERS * view.imager.diameter_px
    # the columns are fixed to the tilt axis, so that one more outlier does not move them all
    row, place = np.floor(points[particles] / width_px).astype(np.int64).T
    column = row * (np.ptp(place) + 1) + place - place.min()
    # by column, then by depth: one key sorts faster than two
    in_column = depth[particles] - depth[particles].min()
    order = np.argsort(column + in_column / (2 * in_column.max() + 1))
    in_order = column[order]
    number = np.arange(len(column))
    begins = np.diff(in_order, prepend=in_order[0] - 1) != 0
    crossed = np.empty(len(column))
    crossed[order] = number - np.maximum.accumulate(np.where(begins, number, 0))
    result = np.empty(len(points))
    result[particles] = crossed
    if not particles.all():
        result[~particles] = crossed[spheres.nearest_particles]
    return result


def slot_numbers(crossed: Float64, most_crossed: float, spheres: Spheres) -> Ints:
    """Return the slot of each sphere, from the particles crossed before it and from its kind."""
    layers = np.minimum((crossed * LAYERS / most_crossed).astype(np.int64), LAYERS - 1)
    return layers if spheres.kinds is None else layers + LAYERS * spheres.kinds
