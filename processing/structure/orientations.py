"""Crystal orientations: rotations that are equal up to the rotations of their lattice."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from processing.series import Float64
from processing.structure.classify import BCC, FCC, HCP
from processing.structure.shells import rotations_of, shells

SMOOTHED_WITHIN_DEG = 10.0
"""Largest angle between the orientations of neighbours that are averaged."""
Pairs = NDArray[np.int64]


@cache
def symmetry(structure: int) -> Float64:
    """Return the rotations [n, 3, 3] of the lattice of fcc, bcc (cubic) or hcp (hexagonal)."""
    if structure in (FCC, BCC):
        return rotations_of(shells()[0].vertices)
    assert structure == HCP
    # two sites of hcp differ by half a turn about the stacking axis, so the lattice has six turns
    about_z = Rotation.from_euler("z", 60.0 * np.arange(6)[:, None], degrees=True)
    flipped = about_z * Rotation.from_euler("x", 180.0, degrees=True)
    return np.concatenate([about_z.as_matrix(), flipped.as_matrix()])


def misorientation(first: Float64, second: Float64, structure: int) -> tuple[Float64, Float64]:
    """Return the smallest angles (degrees) between orientations [n, 3, 3], and the second, turned.

    The second orientations are multiplied by the rotation of the lattice that brings them closest
    to the first.
    """
    group = symmetry(structure)
    between = np.swapaxes(first, 1, 2) @ second
    traces = between.reshape(-1, 9) @ np.swapaxes(group, 1, 2).reshape(-1, 9).T
    best = traces.argmax(axis=1)
    cosine = (traces[np.arange(len(best)), best] - 1) / 2
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    return angle, second @ group[best]


def smoothed(rotation: Float64, pairs: Pairs, structure: int) -> Float64:
    """Return orientations [n, 3, 3] averaged over each particle and its like neighbours."""
    here, there = pairs.T
    angle, turned = misorientation(rotation[here], rotation[there], structure)
    like = angle < SMOOTHED_WITHIN_DEG
    total = rotation.copy()
    np.add.at(total, here[like], turned[like])
    return nearest_rotation(total)


def mean_orientation(rotation: Float64, structure: int) -> Float64:
    """Return the mean [3, 3] of like orientations [n, 3, 3]."""
    mean: Float64 = rotation[0]
    for _ in range(3):
        _, turned = misorientation(np.broadcast_to(mean, rotation.shape), rotation, structure)
        mean = nearest_rotation(turned.mean(axis=0))
    return mean


def nearest_rotation(matrix: Float64) -> Float64:
    """Return the rotation nearest to each matrix [..., 3, 3]."""
    left, _, right = np.linalg.svd(matrix)
    sign = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left = left.copy()
    left[..., 2] *= sign[..., None]
    return np.asarray(left @ right, np.float64)


def smallest_turn(rotation: Float64, structure: int) -> Float64:
    """Return the equivalent of an orientation [3, 3] with the smallest angle of rotation."""
    equivalents = rotation @ symmetry(structure)
    return np.asarray(equivalents[np.trace(equivalents, axis1=1, axis2=2).argmax()], np.float64)
