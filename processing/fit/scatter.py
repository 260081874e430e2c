"""Scatter of particles' positions that forces in the images would cause.

Errors of the model - blur, missed or misplaced neighbours, poses - pull a particle in much the same
way in tilts near one another. Noise that is independent from image to image averages down over
them, such errors do not. The scatter therefore sums products of the forces in all pairs of views,
with weights that fall to 0 at `TOGETHER_DEG` (White 1980, Newey and West 1987).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from processing.fit.imager import Ints
from processing.series import Float32, Float64

TOGETHER_DEG = 60.0
"""Angle between two tilts from which forces are independent: two particles that touch, one behind
the other, lie side by side after a turn as large."""
NEIGHBOURS = 16
"""Number of nearest particles over which the scatter is averaged."""


def view_weights(axes: Float64, series: Ints) -> Float64:
    """Return the weights of all pairs of views, [view, view]; 0 between two series.

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
    return np.asarray(near * (series[:, None] == series), np.float64)


def squared_scatter(forces: Float32, weights: Float64, inverse: Float64) -> Float64:
    """Return the summed variances of x, y and z, [n], that forces cause.

    Parameters
    ----------
    forces
        Force along x, y and z in each view, [view, n, 3]; their sums over all views are nearly 0.
    inverse
        Displacements by forces on each particle alone, [n, 3, 3].
    """
    views = len(forces)
    together = weights.astype(np.float32) @ forces.reshape(views, -1)
    products = np.einsum("vni,vnj->nij", forces, together.reshape(forces.shape))
    return np.asarray(np.einsum("nij,njk,nki->n", inverse, products, inverse), np.float64)


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
