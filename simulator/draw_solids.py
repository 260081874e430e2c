"""Solids drawn on an image's working grid by their thickness along the beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.spatial.transform import Rotation

from simulator.raster import Raster
from simulator.solids import thickness_nm
from simulator.specimen import Particles

Array = NDArray[np.float64]

SAMPLES = 2
"""Points along each side of a pixel over which a thickness is averaged."""


def largest_radius_nm(particles: Particles) -> float:
    """Return the radius of the sphere around the largest solid."""
    assert particles.solid is not None
    largest = float(particles.diameters_nm.max(initial=particles.solid.width_nm))
    return particles.solid.radius_nm * largest / particles.solid.width_nm


def thickness_matrix(particles: Particles, raster: Raster) -> csc_array:
    """Return the matrix [pixel, particle] of the thickness (nm) of each solid in each pixel.

    The centres of the particles are (u, v, height) and their orientations those in the beam.
    """
    assert particles.solid is not None and particles.quaternions is not None
    solid, pixel_nm = particles.solid, raster.pixel_nm
    half = int(np.ceil(largest_radius_nm(particles) / pixel_nm)) + 1
    side = np.arange(-half, half + 1, dtype=np.int32)
    fine = (np.arange((2 * half + 1) * SAMPLES) + 0.5) / SAMPLES - half - 0.5
    points_nm = np.stack(np.meshgrid(fine, fine), axis=-1).reshape(-1, 2) * pixel_nm
    origin = np.array([raster.origin_u_nm, raster.origin_v_nm])
    places = (particles.centres_nm[:, :2] - origin) / pixel_nm
    nearest = np.rint(places).astype(np.int32)
    turns = Rotation.from_quat(particles.quaternions).as_matrix()
    values = np.empty((len(particles), len(side) ** 2), np.float32)
    for index, (place, turn) in enumerate(zip(places - nearest, turns, strict=True)):
        scale = particles.diameters_nm[index] / solid.width_nm
        relative = (points_nm - place * pixel_nm) / scale
        thickness = thickness_nm(solid, turn[None], relative) * scale
        cells = thickness.reshape(len(side), SAMPLES, len(side), SAMPLES)
        values[index] = cells.mean(axis=(1, 3)).ravel()
    rows = nearest[:, 1, None] + side
    columns = nearest[:, 0, None] + side
    pixels = (rows[:, :, None] * raster.width + columns[:, None, :]).reshape(len(values), -1)
    starts = np.arange(0, pixels.size + 1, len(side) ** 2)
    shape = (raster.height * raster.width, len(particles))
    return csc_array((values.ravel(), pixels.ravel(), starts), shape=shape)
