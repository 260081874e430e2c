"""Fit of reference shells to the neighbours of each particle, by rotation and scale.

Each shell is turned so that a pair of its vertices lies on a pair of neighbours, and the best such
start is refined (Kabsch). The misfit of a vertex is the squared distance to the nearest neighbour,
bounded, so that one missed or false particle does not spoil a fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.parallel import map_in_threads
from processing.series import Float64
from processing.structure.shells import Shell, frames, shells

CANDIDATES = 16
"""Nearest neighbours to which a shell is fitted; more than a shell has, for false particles."""
PAIRS = 3
"""Pairs of neighbours from which a fit starts."""
PAIR_ANGLE_DEG = 60.0
"""Angle between two adjacent neighbours in a close packing."""
BOUND = 0.30
"""Largest distance of a vertex from its neighbour, in shell radii; a vertex farther away counts as
unmatched."""
REFINEMENTS = 2
"""Number of times that vertices are assigned to neighbours again."""
CLEAR_MISFIT = 0.006
"""Misfit of a shell that cannot belong to another structure: fcc and hcp differ by a fourth of
their vertices, which is a misfit of 0.02."""
BLOCK = 250
"""Particles that are fitted at once; it bounds the memory."""


@dataclass(frozen=True, eq=False)
class ShellFit:
    """Fit of one shell to each particle.

    Attributes
    ----------
    misfit
        [n], mean over the vertices of the squared distance, in squared shell radii.
    matched
        [n], number of vertices with a neighbour.
    rotation
        [n, 3, 3]: direction in the specimen = rotation @ direction in the shell.
    radius
        [n], mean distance of the shell's vertices, in the unit of the positions.
    """

    misfit: Float64
    matched: NDArray[np.int64]
    rotation: Float64
    radius: Float64


@dataclass(frozen=True, eq=False)
class ShellFits(ShellFit):
    """Fit of the best shell to each particle; `shell` [n] is its place in `shells()`."""

    shell: NDArray[np.int64]


def match_shells(positions: Float64, chosen: NDArray[np.intp] | None = None) -> ShellFits:
    """Fit the shells to particles of `positions` [n, 3], and keep the best shell of each.

    All particles are fitted, or those at the places `chosen`.

    A shell that fits clearly is not compared with those after it.
    """
    if chosen is None:
        chosen = np.arange(len(positions))
    number = len(chosen)
    fits = ShellFits(
        np.full(number, np.inf),
        np.zeros(number, np.int64),
        np.tile(np.eye(3), (number, 1, 1)),
        np.zeros(number),
        np.zeros(number, np.int64),
    )
    tree = cKDTree(positions)
    length, index = tree.query(positions[chosen], min(CANDIDATES, len(positions) - 1) + 1)
    for place, shell in enumerate(shells()):
        unclear = np.flatnonzero(fits.misfit > CLEAR_MISFIT)
        blocks = [unclear[at : at + BLOCK] for at in range(0, len(unclear), BLOCK)]
        bonds = [positions[index[rows, 1:]] - positions[chosen[rows], None] for rows in blocks]
        lengths = [length[rows, 1:] for rows in blocks]
        found = map_in_threads(partial(_fit, shell), bonds, lengths)
        for rows, fit in zip(blocks, found, strict=True):
            _keep_better(fits, rows, place, fit)
    return fits


def _keep_better(fits: ShellFits, rows: NDArray[np.intp], place: int, found: ShellFit) -> None:
    """Write the fits of one shell into `fits` where they are the best so far."""
    better = found.misfit < fits.misfit[rows]
    chosen = rows[better]
    fits.shell[chosen] = place
    fits.misfit[chosen] = found.misfit[better]
    fits.matched[chosen] = found.matched[better]
    fits.rotation[chosen] = found.rotation[better]
    fits.radius[chosen] = found.radius[better]


def _fit(shell: Shell, bonds: Float64, lengths: Float64) -> ShellFit:
    """Fit a shell to bonds [n, candidate, 3] of known lengths [n, candidate]."""
    radius = np.median(lengths[:, :12], axis=1) / shell.median_length
    rotation = _best_start(shell, bonds / radius[:, None, None], _pairs(bonds, lengths))
    offset = np.zeros((len(bonds), 3))
    for _ in range(REFINEMENTS):
        places = radius[:, None, None] * (shell.vertices @ np.swapaxes(rotation, 1, 2))
        target, squared = _nearest(places + offset[:, None], bonds)
        weight = (squared < (BOUND * radius[:, None]) ** 2).astype(float)
        rotation, radius, offset = _similarity(shell.vertices, target, weight, rotation, radius)
    places = radius[:, None, None] * (shell.vertices @ np.swapaxes(rotation, 1, 2))
    _, squared = _nearest(places + offset[:, None], bonds)
    relative = squared / radius[:, None] ** 2
    misfit = np.minimum(relative, BOUND**2).mean(axis=1)
    return ShellFit(misfit, (relative < BOUND**2).sum(axis=1), rotation, radius)


def _pairs(bonds: Float64, lengths: Float64) -> Float64:
    """Return frames [n, pair, 3, 3] of pairs of nearest neighbours about 60 degrees apart."""
    near = bonds[:, :12] / lengths[:, :12, None]
    cosine = near @ np.swapaxes(near, 1, 2)
    away = np.abs(cosine - np.cos(np.deg2rad(PAIR_ANGLE_DEG)))
    away += 2 * np.eye(near.shape[1])  # no neighbour is its own partner
    rows = np.arange(len(bonds))[:, None]
    first = np.broadcast_to(np.array([0, 3, 6])[:PAIRS], (len(bonds), PAIRS))
    second = away[rows, first].argmin(axis=2)
    return frames(near[rows, first], near[rows, second])


def _best_start(shell: Shell, bonds: Float64, pairs: Float64) -> Float64:
    """Return the rotation [n, 3, 3] of the start with the smallest misfit."""
    turns = np.swapaxes(pairs[:, :, None], 3, 4) @ shell.pair_frames
    turns = turns.reshape(len(bonds), -1, 3, 3)
    places = turns.astype(np.float32) @ shell.vertices.T.astype(np.float32)
    others = bonds.astype(np.float32)[:, None]
    lengths = (others**2).sum(axis=3, keepdims=True)
    squared = (lengths - 2 * (others @ places)).min(axis=2)
    squared += (shell.vertices**2).sum(axis=1).astype(np.float32)
    best = np.minimum(squared, BOUND**2).sum(axis=2).argmin(axis=1)
    return np.asarray(turns[np.arange(len(bonds)), best], np.float64)


def _nearest(places: Float64, bonds: Float64) -> tuple[Float64, Float64]:
    """Return the bond [n, vertex, 3] nearest to each place, and the squared distance."""
    squared = (
        (places**2).sum(axis=2)[:, :, None]
        - 2 * places @ np.swapaxes(bonds, 1, 2)
        + (bonds**2).sum(axis=2)[:, None]
    )
    chosen = squared.argmin(axis=2)
    rows = np.arange(len(bonds))[:, None]
    return bonds[rows, chosen], np.maximum(
        np.take_along_axis(squared, chosen[..., None], 2)[..., 0], 0
    )


def _similarity(
    vertices: Float64, target: Float64, weight: Float64, rotation: Float64, radius: Float64
) -> tuple[Float64, Float64, Float64]:
    """Return rotation, scale and offset that bring vertices onto targets best (Umeyama, 1991).

    A particle with fewer than three matched vertices keeps its rotation and scale. The particle
    itself belongs to the fit: it is the vertex at the origin.
    """
    total = weight.sum(axis=1) + 1
    middle = (weight[..., None] * vertices).sum(axis=1) / total[:, None]
    centre = (weight[..., None] * target).sum(axis=1) / total[:, None]
    covariance = np.swapaxes(target * weight[..., None], 1, 2) @ vertices
    covariance -= total[:, None, None] * centre[:, :, None] * middle[:, None, :]
    left, values, right = np.linalg.svd(covariance)
    sign = np.where(np.linalg.det(left @ right) < 0, -1.0, 1.0)
    left[:, :, 2] *= sign[:, None]
    values[:, 2] *= sign
    found = left @ right
    spread = (weight * (vertices**2).sum(axis=1)).sum(axis=1) - total * (middle**2).sum(axis=1)
    enough = weight.sum(axis=1) >= 3
    scale = np.where(enough, values.sum(axis=1) / np.maximum(spread, 1e-12), radius)
    found = np.where(enough[:, None, None], found, rotation)
    turned = (found @ middle[:, :, None])[..., 0]
    return found, scale, centre - scale[:, None] * turned
