"""Deformation of a specimen during its tilt series, as a smooth field of displacements.

In every image the particles are displaced by polynomials of their place. The coefficients grow with
the time since the start of the series, steadily or fast at first. They are found by least squares
from the residual of all images, together with the places of the particles at the mean time and with
the pose of each image, either of which can imitate a part of them. The Bayesian information
criterion (Schwarz, Ann. Stat. 1978, 6, 461) decides which polynomial the images ask for, if any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from processing.fit.equations import (
    Poses,
    ViewEquations,
    noise_energy,
    scaled,
    term_sizes,
    without_poses,
)
from processing.fit.fields import LINEAR, TERMS, Kind, Part, field_terms
from processing.fit.imager import Ints
from processing.series import Float64

PACES = (np.inf, 1.0, 0.3)
"""Time constants of the deformation, in durations of the series; infinite for a steady one."""
USUAL = 0.02
"""Usual displacement of the surface of a specimen that deforms, in its radii.

It is the standard deviation of every coefficient before the images are seen, and decides where they
cannot: a rotation is a change of the tilts, too."""


@dataclass(frozen=True, eq=False)
class Deformation:
    """Field of displacements that the images ask for.

    Attributes
    ----------
    parts
        Parts of the field.
    coefficients
        For each part [9, 3]: displacement (nm) along x, y and z for each of `field_terms`; for a
        part with a pace that from the first to the last image of the series.
    errors
        For each part [27, 27], covariance of its coefficients in the order [term, axis].
    places
        [9, 3], the same for the displacement of the particles from their fitted places at the mean
        time of the first series.
    poses
        [view, 4], the same for each image: shift along y and u (px), in-plane rotation and tilt
        (radians).
    gain
        Fall of the Bayesian information criterion against no deformation.
    explained
        Share of the remaining energy of the images that the deformation explains.
    """

    parts: tuple[Part, ...]
    coefficients: tuple[Float64, ...]
    errors: tuple[Float64, ...]
    places: Float64
    poses: Float64
    gain: float
    explained: float

    def in_views(self, elapsed: Float64, series: Ints) -> Float64:
        """Return the coefficients in each view, [view, 9, 3]."""
        total = np.zeros((len(elapsed), TERMS, 3))
        for part, each in zip(self.parts, self.coefficients, strict=True):
            total += part.course(elapsed, series)[:, None, None] * each
        return total

    def moved(self, centres_nm: Float64) -> Float64:
        """Return fitted places [n, 3], displaced as the deformation asks."""
        return np.asarray(centres_nm + field_terms(centres_nm) @ self.places, np.float64)


def find_deformation(equations: ViewEquations, radius_nm: float) -> Deformation | None:
    """Return the deformation that the images ask for; None if they ask for none.

    Parameters
    ----------
    equations
        Those of all views, or of some of each series.
    radius_nm
        Radius of the specimen.
    """
    scale = term_sizes(radius_nm)
    in_radii = scaled(equations, scale)
    poses = Poses.of(in_radii, radius_nm)
    reduced = without_poses(in_radii, poses)
    usual_nm = USUAL * radius_nm
    sheared = _shears(reduced)
    best = base = _solve(reduced, (), sheared, usual_nm)
    last_series = int(equations.series.max())
    while True:
        changes = _changes(best.parts, last_series)
        tried = [_solve(reduced, parts, sheared, usual_nm) for parts in changes]
        better = min(tried, key=lambda one: one.criterion)
        if better.criterion >= best.criterion:
            break
        best = better
    if not best.parts:
        return None
    gain = base.criterion - best.criterion
    explained = 1 - best.left / base.left
    # a deformation is more than a shear of the scan, but the field itself is found without one
    best = _solve(reduced, best.parts, sheared[..., :0], usual_nm)
    all_scales = np.repeat(scale, 3)
    return Deformation(
        best.parts,
        tuple(one / scale[:, None] for one in best.coefficients),
        tuple(one / all_scales / all_scales[:, None] for one in best.errors),
        best.places / scale[:, None],
        poses.best(best.displaced),
        gain,
        explained,
    )


@dataclass(frozen=True, eq=False)
class _Solution:
    """Least-squares solution for some parts, and its information criterion.

    Attributes
    ----------
    left
        Energy that remains in the images.
    displaced
        Displacements in each image, [view, 20].
    """

    parts: tuple[Part, ...]
    coefficients: tuple[Float64, ...]
    errors: tuple[Float64, ...]
    places: Float64
    displaced: Float64
    left: float
    criterion: float


def _changes(parts: tuple[Part, ...], last_series: int) -> Iterator[tuple[Part, ...]]:
    """Return all sets of parts in which one part is added or replaced."""
    for series in range(last_series + 1):
        for pace in (*PACES, None):
            if pace is None and series == 0:
                continue
            others = [
                part
                for part in parts
                if part.series != series or (part.pace is None) != (pace is None)
            ]
            for kind in Kind:
                yield (*others, Part(series, kind, pace))


def _solve(
    equations: ViewEquations, parts: tuple[Part, ...], others: Float64, usual_nm: float
) -> _Solution:
    """Find the coefficients of the parts and the places, and those of other displacements.

    Parameters
    ----------
    others
        [view, 20, unknown].
    usual_nm
        Usual displacement of the surface.
    """
    whole = _columns(equations.axes)
    columns = [whole]
    for part in parts:
        course = part.course(equations.elapsed, equations.series)
        fields = part.kind.fields.reshape(-1, 3 * TERMS)
        columns.append(course[:, None, None] * (whole @ fields.T))
    design = np.concatenate([*columns, others], axis=2)
    normal = np.einsum("vkp,vkl,vlq->pq", design, equations.normal, design, optimize=True)
    right = np.einsum("vkp,vk->p", design, equations.right)
    samples, energy = float(equations.samples.sum()), float(equations.energy.sum())
    prior = noise_energy(equations) / usual_nm**2
    inverse = np.linalg.inv(normal + prior * np.eye(len(normal)))
    solution = inverse @ right
    explained = float(solution @ (2 * right - normal @ solution))
    left = max(energy - explained, 1e-30)
    unknowns = sum(part.unknowns for part in parts)
    criterion = samples * np.log(left) + unknowns * np.log(samples)
    last = 3 * TERMS
    coefficients, errors = [], []
    for part in parts:
        own = slice(last, last + len(part.kind.fields))
        last = own.stop
        fields = part.kind.fields.reshape(-1, 3 * TERMS)
        coefficients.append((solution[own] @ fields).reshape(TERMS, 3))
        errors.append(left / samples * fields.T @ inverse[own, own] @ fields)
    return _Solution(
        parts,
        tuple(coefficients),
        tuple(errors),
        solution[: 3 * TERMS].reshape(TERMS, 3),
        design @ solution,
        left,
        float(criterion),
    )


def _columns(axes: Float64) -> Float64:
    """Return the displacements in the images, [view, 20, 27], by each coefficient of a field."""
    columns = np.zeros((len(axes), 2, 1 + TERMS, TERMS, 3))
    for term in range(TERMS):
        columns[:, :, 1 + term, term] = axes[:, :2]
    return columns.reshape(len(axes), 2 * (1 + TERMS), 3 * TERMS)


def _shears(equations: ViewEquations) -> Float64:
    """Return the displacements [view, 20, series] by a shear of each series' scan along u.

    A scan that is not rectangular shears all images of a series alike, whatever their tilt.
    """
    columns = np.zeros((len(equations.axes), 2, 1 + TERMS, int(equations.series.max()) + 1))
    views = np.arange(len(equations.axes))
    for axis in range(LINEAR):
        columns[views, 1, 1 + axis, equations.series] = equations.axes[:, 0, axis]
    return columns.reshape(len(views), 2 * (1 + TERMS), -1)
