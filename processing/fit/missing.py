"""Places where the images show a sphere that the fit does not have.

The residual, image minus model, is compared with the images of one more sphere at each point of the
gaps between the known particles: a matched filter over many views, with the blur and the contrast
of the layer in which the point lies in each of them.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor

import numpy as np

from processing.compiled import compiled
from processing.count.particles import SMALLEST_DISTANCE, heaviest_apart
from processing.fit.imager import Ints
from processing.fit.spheres import SphereFit
from processing.fit.view import Spheres, Views, every, particles_crossed, slot_numbers
from processing.fit.view_model import model_views
from processing.series import Float64

GRID = 0.25
"""Distance of the points of the gaps, in diameters of the spheres."""
REACH = 1.5
"""Largest distance of such a point from a particle, in diameters."""
MOST_VIEWS = 24
"""Largest number of images that are compared, evenly spaced."""
LEAST_AMPLITUDE = 0.25
"""Smallest amplitude of a sphere in the residual. Particles around it have taken over a part of its
signal."""


def missing_spheres(fit: SphereFit, diameter_nm: float, kind: int) -> tuple[Float64, Float64]:
    """Find spheres that the fit lacks, at least 0.7 diameters from its particles and one another.

    Parameters
    ----------
    kind
        Kind of the spheres, whose diameter is `diameter_nm`.

    Returns
    -------
    Centres [n, 3] in nm and amplitudes [n] in the residual.
    """
    particles = fit.spheres.are_particles
    if not particles.any():
        return np.zeros((0, 3)), np.zeros(0)
    points_nm = _gaps(fit.centres_nm[particles], diameter_nm)
    if not len(points_nm):
        return points_nm, np.zeros(0)
    step = -(-sum(map(len, fit.views)) // MOST_VIEWS)
    views = every(fit.views, step)
    with views[0].imager.device.executor() as pool:
        amplitudes = _amplitudes(fit, views, points_nm, kind, pool)
    shown = amplitudes > LEAST_AMPLITUDE
    points_nm, amplitudes = points_nm[shown], amplitudes[shown]
    apart = heaviest_apart(points_nm, amplitudes, SMALLEST_DISTANCE * diameter_nm)
    return points_nm[apart], amplitudes[apart]


def _gaps(centres_nm: Float64, diameter_nm: float) -> Float64:
    """Return the points [n, 3] of a grid where another sphere can lie among these particles."""
    reach_nm, spacing_nm = REACH * diameter_nm, GRID * diameter_nm
    low, high = centres_nm.min(axis=0) - reach_nm, centres_nm.max(axis=0) + reach_nm
    shape = tuple(np.ceil((high - low) / spacing_nm).astype(int))
    apart = np.full(shape, np.inf)
    centres, reach = (centres_nm - low) / spacing_nm, REACH / GRID
    first = np.maximum(np.ceil(centres - reach), 0).astype(np.int64)
    after = np.minimum(np.floor(centres + reach) + 1, shape).astype(np.int64)
    _measure_distances(apart, centres, reach, first, after)
    free = (apart >= SMALLEST_DISTANCE / GRID) & np.isfinite(apart)
    return np.asarray(low + spacing_nm * np.argwhere(free), np.float64)


@compiled
def _measure_distances(
    apart: Float64, centres: Float64, reach: float, first: Ints, after: Ints
) -> None:
    """Enter the distance of each point [x, y, z] to the nearest centre, if within reach.

    Lengths are in spacings of the points. `first` and `after` [n, 3] are the first point near each
    centre along each axis, and the one after all of them.
    """
    for n in range(len(centres)):
        x, y, z = centres[n]
        for i in range(first[n, 0], after[n, 0]):
            for j in range(first[n, 1], after[n, 1]):
                for k in range(first[n, 2], after[n, 2]):
                    distance = math.sqrt((i - x) ** 2 + (j - y) ** 2 + (k - z) ** 2)
                    if distance <= reach and distance < apart[i, j, k]:
                        apart[i, j, k] = distance


def _amplitudes(
    fit: SphereFit, views: list[Views], points_nm: Float64, kind: int, pool: Executor
) -> Float64:
    """Return the amplitude [n] of one more sphere at each point that explains the residual best."""
    known, number = fit.spheres, len(points_nm)
    kinds: Ints | None = None
    if known.kinds is not None:
        kinds = np.concatenate([known.kinds, np.full(number, kind)])
    both = Spheres(
        np.vstack([known.centres_nm, points_nm]),
        np.concatenate([known.amplitudes, np.zeros(number)]),
        kinds,
    )

    def products(some: Views) -> tuple[Float64, Float64]:
        imager, beam = some.imager, fit.beams[some.series]
        model = model_views(some, beam, known)
        crossed = particles_crossed(some, both)
        slots = slot_numbers(crossed, beam.most_crossed, both, imager.device)[:, -number:]
        splines = imager.spread(some.project(points_nm), slots)
        shown = splines.read(model.adjoint(model.residual(known.weights)))
        norms = model.contrasts**2 * imager.stiffness(beam.kernels)[:, 0]
        energies = imager.device.xp.take_along_axis(imager.device.to_device(norms), slots, axis=1)
        return (
            np.asarray(model.sum_over_views(shown), np.float64),
            np.asarray(imager.device.to_host(energies.sum(axis=0)), np.float64),
        )

    found = list(pool.map(products, views))
    shown, energy = (np.sum(each, axis=0) for each in zip(*found, strict=True))
    return np.asarray(shown / np.maximum(energy, 1e-30), np.float64)
