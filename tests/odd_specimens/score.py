"""Score of one table of particles: by the simulator's scoring, or for few particles by its own.

The simulator's fit needs an assembly: it votes for the shift in nm and starts at the core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from simulator.rigid import match_particles
from simulator.scoring import TOLERANCE_FRACTION, score_tables
from simulator.specimen import Particles
from tests.odd_specimens.scene import Float64
from tests.support.move_rigidly import move_rigidly

STARTS = (0.9, 0.7, 0.5, 0.4, 0.3, 0.24, 0.24)
"""Largest distances of a pair while the fit iterates, in diameters."""
FEWEST_FOR_VOTES = 300


@dataclass(frozen=True)
class Match:
    """Particles of a table that are true ones."""

    f1: float
    rms: float | None
    """Largest rms error of the three axes, scaled to particles of 6.3 nm."""
    recall_by_depth: tuple[float, float, float]
    """Bottom (where the beam leaves in A), middle, top."""


def score(truth: Particles, tables: dict[str, Float64]) -> dict[str, Match]:
    """Score the tables of centres [n, 3], nm, in the frame of A."""
    if len(truth) < FEWEST_FOR_VOTES:
        return {name: _of_few(truth, found) for name, found in tables.items()}
    scores = score_tables(truth, tables).tables
    return {
        name: Match(one.f1, None if one.rms_nm is None else max(one.rms_nm), one.recall_by_depth)
        for name, one in scores.items()
    }


def _of_few(truth: Particles, found_nm: Float64) -> Match:
    scale = 6.3 / float(truth.diameters_nm.mean())
    true, found = scale * truth.centres_nm, scale * found_nm
    if not len(found):
        return Match(0.0, None, (0.0, 0.0, 0.0))
    moved, tree = found + true.mean(axis=0) - found.mean(axis=0), cKDTree(true)
    for reach in STARTS:
        distance, nearest = tree.query(moved)
        near = distance < 6.3 * reach
        if near.any():
            moved = move_rigidly(moved, moved[near], true[nearest[near]])
    of_true, of_found = match_particles(true, moved, 6.3 * TOLERANCE_FRACTION)
    f1 = 2 * len(of_true) / (len(true) + len(found))
    error = moved[of_found] - true[of_true]
    rms = float(np.sqrt(np.mean(error**2, axis=0)).max()) if len(error) else None
    hit = np.isin(np.arange(len(true)), of_true)
    thirds = np.array_split(hit[np.argsort(true[:, 2])], 3)
    bottom, middle, top = (float(part.mean()) for part in thirds)
    return Match(f1, rms, (bottom, middle, top))
