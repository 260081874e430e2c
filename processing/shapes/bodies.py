"""Bodies of one shape at places and orientations, and which of them overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from processing.series import Bools, Float64
from processing.shapes.body import Body

CLOSE = 0.62
"""Distance of the balls of two bodies below which the bodies overlap, in diameters of a ball."""


@dataclass(frozen=True, eq=False)
class Bodies:
    """Bodies at places and orientations.

    Attributes
    ----------
    centres_nm
        [n, 3] as (x, y, z) from the centre of the volume.
    turns
        Orientations, n rotations.
    amplitudes
        [n], 1 for a typical body.
    """

    centres_nm: Float64
    turns: Rotation
    amplitudes: Float64

    def __len__(self) -> int:
        return len(self.amplitudes)

    def select(self, chosen: Bools) -> Bodies:
        """Return some of the bodies."""
        return Bodies(self.centres_nm[chosen], self.turns[chosen], self.amplitudes[chosen])

    def followed_by(self, other: Bodies) -> Bodies:
        """Return the bodies of both."""
        return Bodies(
            np.concatenate([self.centres_nm, other.centres_nm]),
            Rotation.concatenate([self.turns, other.turns]),
            np.concatenate([self.amplitudes, other.amplitudes]),
        )


NO_BODIES = Bodies(np.zeros((0, 3)), Rotation.identity(1)[:0], np.zeros(0))


def without_overlaps(body: Body, bodies: Bodies, kept: int = 0) -> Bodies:
    """Return the bodies without those that overlap one of larger amplitude.

    The first `kept` ones remain in any case.
    """
    if not len(bodies):
        return bodies
    balls = body.balls_nm(bodies.centres_nm, bodies.turns)
    each = balls.shape[1]
    pairs = cKDTree(balls.reshape(-1, 3)).query_pairs(CLOSE * body.ball_nm, output_type="ndarray")
    pairs = np.unique(pairs // each, axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    neighbours: dict[int, list[int]] = {}
    for first, other in pairs.tolist():
        neighbours.setdefault(first, []).append(other)
        neighbours.setdefault(other, []).append(first)
    rank = bodies.amplitudes.copy()
    rank[:kept] += 1e6
    dropped = np.zeros(len(bodies), bool)
    for index in np.argsort(-rank).tolist():
        if not dropped[index]:
            dropped[neighbours.get(index, [])] = True
    return bodies.select(~dropped)
