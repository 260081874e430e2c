"""Fit of a lattice to the bonds of one grain: orientation, lattice constant, and their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.series import Float64
from processing.structure.orientations import Pairs, nearest_rotation

BOND_WITHIN = 0.3
"""Largest distance between a bond and the lattice's own, in bond lengths."""
ROUNDS = 3


@dataclass(frozen=True, eq=False)
class LatticeFit:
    """Lattice of one grain.

    Attributes
    ----------
    rotation
        Orientation [3, 3]: direction in the specimen = rotation @ direction in the lattice.
    bond_nm
        Mean bond length: cube root of the volume change, free of the bias of scattered positions.
    scatter_nm
        Standard deviation of one coordinate about the lattice, from the bonds.
    bond_error
        Error of `bond_nm` per error of one coordinate.
    turn_error
        Error of the orientation (radians, all three axes) per error of one coordinate (nm).
    """

    rotation: Float64
    bond_nm: float
    scatter_nm: float
    bond_error: float
    turn_error: float


def fit_lattice(
    positions_nm: Float64, pairs: Pairs, vertices: Float64, rotation: Float64, bond_nm: float
) -> LatticeFit | None:
    """Fit the matrix that brings the lattice's bonds onto those of a grain; None if it has few.

    Parameters
    ----------
    pairs
        [pair, 2], neighbours in the grain, in both orders.
    vertices
        Bonds of the lattice [vertex, 3], of mean length 1.
    rotation, bond_nm
        Approximate orientation and bond length.
    """
    here, there = pairs.T
    bonds = positions_nm[there] - positions_nm[here]
    matrix = bond_nm * rotation
    for _ in range(ROUNDS):
        known = vertices @ matrix.T
        chosen = (bonds @ known.T - (known**2).sum(axis=1) / 2).argmax(axis=1)
        length = np.cbrt(np.linalg.det(matrix))
        near = ((bonds - known[chosen]) ** 2).sum(axis=1) < (BOND_WITHIN * length) ** 2
        steps = vertices[chosen[near]]
        overlap = steps.T @ steps
        if near.sum() < 2 * len(vertices) or np.linalg.cond(overlap) > 100:
            return None
        inverse = np.linalg.inv(overlap)
        matrix = bonds[near].T @ steps @ inverse
    residual = bonds[near] - steps @ matrix.T
    # a coordinate enters through all its bonds, most of which cancel inside the grain
    weight = np.zeros_like(positions_nm)
    np.add.at(weight, here[near], -2.0 * steps)
    total = float(((weight @ inverse) ** 2).sum())
    length = float(np.cbrt(np.linalg.det(matrix)))
    return LatticeFit(
        nearest_rotation(matrix),
        length,
        float(np.sqrt((residual**2).mean() / 2)),
        float(np.sqrt(total) / 3),
        float(np.sqrt(total / 2) / length),
    )
