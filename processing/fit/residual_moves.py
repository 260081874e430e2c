"""Moves of particles by what a fit leaves of the images, alike in tilts near one another.

Errors of the model - blur, missed or misplaced neighbours, poses - pull a particle in much the same
way in tilts near one another. Noise that is independent from image to image averages down over
them, such errors do not. `joint_factors` multiply the images of tilts near one another by much the
same random factor: the moves that a residual then causes scatter as those by errors that last over
some tilts (dependent wild bootstrap; Shao 2010, J. Am. Stat. Assoc. 105, 218).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from processing.fit.imager import Ints
from processing.series import Float32, Float64

TOGETHER_DEG = 60.0
"""Angle between two tilts from which their factors are independent: two particles that touch, one
behind the other, lie side by side after a turn as large."""
NEIGHBOURS = 16
"""Number of nearest particles over which values are averaged."""


def joint_factors(axes: Float64, series: Ints, rng: np.random.Generator) -> Float32:
    """Return a random factor for each view, [view], of mean 0 and variance 1.

    Those of two views of a series have a covariance that falls evenly with the angle between their
    beams, to 0 at `TOGETHER_DEG`; those of two series are independent.

    Parameters
    ----------
    axes
        As those of `Views`, [view, 3, 3].
    series
        Index of the tilt series of each view.
    """
    beams = axes[:, 2] / np.linalg.norm(axes[:, 2], axis=1, keepdims=True)
    angles_deg = np.rad2deg(np.arccos(np.clip(beams @ beams.T, -1, 1)))
    near = np.clip(1 - angles_deg / TOGETHER_DEG, 0, None)
    variances, directions = np.linalg.eigh(near * (series[:, None] == series))
    draws = np.sqrt(np.maximum(variances, 0)) * rng.standard_normal(len(beams))
    return np.asarray(directions @ draws, np.float32)


def average_nearby(values: Float64, centres_nm: Float64) -> Float64:
    """Return the average of values [n] over the particles nearest to each."""
    nearest = min(NEIGHBOURS, len(values))
    _, places = cKDTree(centres_nm).query(centres_nm, range(1, nearest + 1))
    return np.asarray(values[places].mean(axis=1), np.float64)


def without_rigid_motion(moves: Float64, centres_nm: Float64) -> Float64:
    """Return moves [n, 3] without the part that shifts and turns all centres together."""
    x, y, z = (centres_nm - centres_nm.mean(axis=0)).T
    turns = np.zeros((len(moves), 3, 3))
    turns[:, 1, 0], turns[:, 2, 0] = -z, y
    turns[:, 0, 1], turns[:, 2, 1] = z, -x
    turns[:, 0, 2], turns[:, 1, 2] = -y, x
    shifts = np.tile(np.eye(3), (len(moves), 1, 1))
    basis = np.concatenate([shifts, turns], axis=2).reshape(-1, 6)
    flat = moves.ravel()
    return np.asarray((flat - basis @ np.linalg.lstsq(basis, flat)[0]).reshape(-1, 3), np.float64)
