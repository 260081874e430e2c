"""Orientations spread evenly over all that differ for a body of some symmetry."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from processing.series import Bools, Float64
from processing.shapes.body import Body

STEP_DEG = 15.0
"""Distance of neighbouring orientations of the search."""
ALIKE_DEG = 28.0
"""Largest angle of orientations that count as alike."""
LEAST_SHARE = 0.25
"""Smallest share of the bodies that prevail together with one orientation."""
GOLDEN = (1 + np.sqrt(5)) / 2
PSI = 1.533751168755204288118041
"""Constant of the spiral through all rotations; it solves x^4 = x + 4 (Alexa 2022)."""


def spread_orientations(body: Body, step_deg: float = STEP_DEG) -> Rotation:
    """Return orientations about `step_deg` apart, one of each symmetric set."""
    step = np.deg2rad(step_deg)
    if body.is_axial:
        return _axes(max(12, round(2 * np.pi / step**2)))
    number = max(24, round(8 * np.pi**2 / step**3))
    turns = _spiral(number)
    if len(body.symmetry) == 1:
        return turns
    # the one nearest to no rotation stands for all
    nearest = [(turns * one).magnitude() for one in body.symmetry]
    return turns[turns.magnitude() <= np.min(nearest, axis=0) + 1e-9]


def prevailing_orientations(body: Body, searched: Rotation, found: Rotation) -> list[Rotation]:
    """Return the searched orientations near each one that many bodies share, commonest first.

    Where the tilts leave out a range, a set of parallel rods shows also as sets across it. Where
    the bodies of a search have several orientations in common, one of them may be right for all.
    """
    left = np.ones(len(found), bool)
    alike = np.array([_alike(body, found, one) for one in searched])
    result: list[Rotation] = []
    while left.any():
        commonest = int(np.argmax((alike & left).sum(axis=1)))
        if (alike[commonest] & left).sum() < LEAST_SHARE * len(found):
            break
        result.append(searched[_alike(body, searched, searched[commonest])])
        left &= ~alike[commonest]
    return result


def _alike(body: Body, turns: Rotation, one: Rotation) -> Bools:
    same = Rotation.concatenate([one] * len(turns))
    return np.asarray(body.misorientation_deg(turns, same) < ALIKE_DEG, bool)


def _axes(number: int) -> Rotation:
    """Return rotations of z to the points of a Fibonacci lattice on half a sphere."""
    index = np.arange(number) + 0.5
    height = 1 - index / number
    azimuth = 2 * np.pi * index / GOLDEN
    across = np.sqrt(1 - height**2)
    axes = np.column_stack([across * np.cos(azimuth), across * np.sin(azimuth), height])
    return turns_of_axes(axes)


def turns_of_axes(axes: Float64) -> Rotation:
    """Return the shortest rotations of z onto unit vectors [n, 3]."""
    half = np.column_stack([-axes[:, 1], axes[:, 0], 0 * axes[:, 0], 1 + axes[:, 2]])
    opposite = axes[:, 2] < -1 + 1e-9
    half[opposite] = [1.0, 0.0, 0.0, 0.0]
    return Rotation.from_quat(half)


def _spiral(number: int) -> Rotation:
    """Return an even spiral of rotations (super-Fibonacci, Alexa, CVPR 2022)."""
    index = np.arange(number) + 0.5
    inner, outer = np.sqrt(index / number), np.sqrt(1 - index / number)
    alpha, beta = 2 * np.pi * index / np.sqrt(2), 2 * np.pi * index / PSI
    return Rotation.from_quat(
        np.column_stack(
            [
                inner * np.sin(alpha),
                inner * np.cos(alpha),
                outer * np.sin(beta),
                outer * np.cos(beta),
            ]
        )
    )
