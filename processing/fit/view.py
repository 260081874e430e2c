"""Spheres, and views: images of a tilt series together with their projection geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from processing.combine.pose import Pose
from processing.device import CPU, Array, Device
from processing.fit.fields import field_terms
from processing.fit.imager import LAYERS, ONE_KIND, Ints, SphereImager, SphereKind
from processing.parallel import slabs
from processing.series import Bools, Float32, Float64, TiltSeries

COLUMN_DIAMETERS = 1.5
"""Width of the beam columns in which crossed particles are counted, in sphere diameters."""
MANY_THREADS = 5
"""Threads from which several views are processed at a time."""
MOST_VIEWS = 5
"""Largest number of views at a time on the CPU: their layers fit the third-level cache."""
WHOLLY_KNOWN = 0.99
"""Smallest value of a pixel, after interpolation, that shows the spheres alone."""
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
class Views:
    """Images of one series and their projection geometry. The first axis is the view.

    Attributes
    ----------
    imager
        Forward model for images of this shape and pixel size.
    spectra
        Spectra of the images [view, ky, kx], limited to the band of the imager, on its device.
    axes
        [view, 3, 3], maps (x, y, z) in nm to y, u and depth along the beam in pixels.
    offsets
        Shift [view, (y, u)], pixels.
    series
        Index of the tilt series, from 0.
    elapsed
        [view], time of recording, from 0 for the first image of the series to 1 for the last.
    known
        Pixels [view, y, u] that show the spheres alone, on the device; None if all do. The others
        take the values of the model (`ViewModel.filled`).
    deformation
        Displacement (nm) of the specimen in each view by each of `field_terms`, [view, term, 3];
        None if it is rigid.
    """

    imager: SphereImager
    spectra: Array
    axes: Float64
    offsets: Float64
    series: int
    elapsed: Float64
    known: Array | None = None
    deformation: Float64 | None = None

    def __len__(self) -> int:
        return len(self.axes)

    def select(self, chosen: slice | Ints) -> Views:
        """Return some of the views."""
        parts = self.spectra[chosen], self.axes[chosen], self.offsets[chosen]
        known = None if self.known is None else self.known[chosen]
        deformation = None if self.deformation is None else self.deformation[chosen]
        return Views(self.imager, *parts, self.series, self.elapsed[chosen], known, deformation)

    def project(self, centres_nm: Float64) -> Array:
        """Project centres [n, 3] to [view, n, (y, u)], pixels from the centre of the image."""
        put, xp = self.imager.device.to_device, self.imager.device.xp
        turned = put(self.deformed(centres_nm)) @ xp.swapaxes(put(self.axes[:, :2]), 1, 2)
        return turned + put(self.offsets[:, None])

    def depth(self, centres_nm: Float64) -> Array:
        """Return the depth of centres [n, 3] along the beam, [view, n], pixels."""
        put, xp = self.imager.device.to_device, self.imager.device.xp
        centres_nm = self.deformed(centres_nm)
        return (put(centres_nm) @ xp.swapaxes(put(self.axes[:, 2:]), 1, 2))[..., 0]

    def deformed(self, centres_nm: Float64) -> Float64:
        """Return the centres [n, 3] at the time of each view, [view, n, 3] or the same for all."""
        if self.deformation is None:
            return centres_nm
        return np.asarray(centres_nm + field_terms(centres_nm) @ self.deformation, np.float64)

    def repeat(self, values: ArrayLike) -> Array:
        """Return values of the spheres [..., n] once for each view, [..., view and sphere]."""
        return self.imager.device.xp.tile(self.imager.device.to_device(values), len(self))


def views_of(
    series: TiltSeries,
    diameter_nm: float,
    pose: Pose | None = None,
    index: int = 0,
    kinds: tuple[SphereKind, ...] = ONE_KIND,
    *,
    spheres: int = 1,
    keeps_matrices: bool = True,
    device: Device = CPU,
) -> list[Views]:
    """Return the images of an aligned series as views, as many at a time as suit the device.

    Parameters
    ----------
    pose
        Pose that brings the frame of the series onto that of the spheres; None if they are equal.
    index
        Index of the series.
    kinds
        Kinds of spheres; `diameter_nm` is that of the first.
    spheres
        Number of spheres that the views are to show.
    keeps_matrices
        See `SphereImager`.
    """
    imager = SphereImager(
        series.images.shape[1:],
        diameter_nm / series.pixel_nm,
        kinds,
        device,
        keeps_matrices=keeps_matrices,
    )
    angles = series.angles_rad
    cos, sin, zero = np.cos(angles), np.sin(angles), np.zeros(len(angles))
    one = np.ones(len(angles))
    rows = [zero, one, zero], [cos, zero, sin], [sin, zero, -cos]
    axes = np.moveaxis(np.array(rows), 2, 0) / series.pixel_nm
    offsets = np.zeros((len(angles), 2))
    if pose is not None:
        back = pose.inverse()
        offsets = (axes @ back.shift_nm)[:, :2]
        axes = back.scale * axes @ back.matrix
    per_view = imager.view_bytes(spheres)
    elapsed = series.elapsed
    return [
        Views(
            imager,
            imager.spectra(device.to_device(series.images[part])),
            axes[part],
            offsets[part],
            index,
            elapsed[part],
            _known(series, part, device),
        )
        for part in views_at_a_time(len(angles), per_view, device)
    ]


def _known(series: TiltSeries, part: slice, device: Device) -> Array | None:
    """Return the pixels that show the spheres alone; None if all in this part of the images do."""
    if series.known is None:
        return None
    known = series.known[part] > WHOLLY_KNOWN
    return None if known.all() else device.to_device(known)


def views_at_a_time(views: int, view_bytes: float, device: Device) -> list[slice]:
    """Divide the views of a series: one by one on a few cores, all that a GPU holds.

    On many cores, more views at a time make fewer calls, so that threads wait less for Python's
    interpreter lock.
    """
    if device.is_gpu:
        return device.blocks(views, view_bytes)
    threads = device.threads()
    each = 1 if threads < MANY_THREADS else min(MOST_VIEWS, -(-views // threads))
    return list(slabs(views, each))


class Selectable(Protocol):
    """Something for several views, of which some can be selected."""

    def __len__(self) -> int:
        """Return the number of views."""
        ...

    def select(self, chosen: slice) -> Self:
        """Return the same for some of the views."""
        ...


Several = TypeVar("Several", bound=Selectable)


def every(parts: Sequence[Several], step: int) -> list[Several]:
    """Return every `step`-th view of all parts together."""
    chosen, first = [], 0
    for part in parts:
        if first < len(part):
            chosen.append(part.select(slice(first, None, step)))
            first += step * -(-(len(part) - first) // step)
        first -= len(part)
    return chosen


def particles_crossed(views: Views, spheres: Spheres) -> Array:
    """Count the particles that the beam crosses before it reaches each candidate, [view, n].

    A false candidate gets the number of the nearest particle.
    """
    device, xp = views.imager.device, views.imager.device.xp
    points, depth = views.project(spheres.centres_nm), views.depth(spheres.centres_nm)
    if not spheres.are_particles.any():
        return xp.zeros(depth.shape)
    particles = device.to_device(np.flatnonzero(spheres.are_particles))
    width_px = COLUMN_DIAMETERS * views.imager.diameter_px
    # the columns are fixed to the tilt axis, so that one more outlier does not move them all
    cells = xp.floor(points[:, particles] / width_px).astype(np.int64)
    row, place = cells[..., 0], cells[..., 1]
    lowest, highest = (edge(place, axis=1, keepdims=True) for edge in (xp.min, xp.max))
    column = row * (highest - lowest + 1) + place - lowest
    # by column, then by depth: one key sorts faster than two
    in_column = depth[:, particles]
    in_column = in_column - xp.min(in_column, axis=1, keepdims=True)
    key = column + in_column / (2 * xp.max(in_column, axis=1, keepdims=True) + 1)
    order = xp.argsort(key, axis=1)
    in_order = xp.take_along_axis(column, order, axis=1)
    begins = xp.ones(in_order.shape, dtype=bool)
    begins[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    number = xp.arange(begins.size)
    starts = xp.nonzero(begins.ravel())[0]
    counted = number - starts[xp.cumsum(begins.ravel(), dtype=np.int64) - 1]
    crossed = xp.empty(begins.size)
    crossed[(order + xp.arange(len(views))[:, None] * order.shape[1]).ravel()] = counted
    crossed = crossed.reshape(begins.shape)
    result = xp.empty(depth.shape)
    result[:, particles] = crossed
    if not spheres.are_particles.all():
        false_ones = device.to_device(np.flatnonzero(~spheres.are_particles))
        result[:, false_ones] = crossed[:, device.to_device(spheres.nearest_particles)]
    return result


def slot_numbers(crossed: Array, most_crossed: float, spheres: Spheres, device: Device) -> Array:
    """Return the slot of each sphere, from the particles crossed before it and from its kind."""
    layers = (crossed * LAYERS / most_crossed).astype(np.int64)
    layers = device.xp.minimum(layers, LAYERS - 1)
    return layers if spheres.kinds is None else layers + LAYERS * device.to_device(spheres.kinds)
