"""Rigid motion of points, for comparing few particles with the true ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def move_rigidly(points: Array, some: Array, targets: Array) -> Array:
    """Move points as `some` of them must be moved to their targets; few give a shift alone."""
    middle, target = some.mean(axis=0), targets.mean(axis=0)
    turn = np.eye(3)
    if len(some) > 3:
        left, _, right = np.linalg.svd((some - middle).T @ (targets - target))
        turn = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    return np.asarray((points - middle) @ turn + target, np.float64)
