"""Spheres without a gap between them are parts of longer particles."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from processing.count.bridges import find_bridges
from processing.series import Float32, Float64

DIAMETER = 8.0


def _volume(centres: Float64, halves: Float64) -> Float32:
    """Return blurred cylinders along x with round ends, [z, y, x]."""
    side = np.arange(72) - 35.5
    z, y, x = np.meshgrid(side, side, side, indexing="ij")
    volume = np.zeros(x.shape, np.float32)
    for (cx, cy, cz), half in zip(centres, halves, strict=True):
        along = np.clip(x - cx, -half, half)
        inside = (x - cx - along) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < (DIAMETER / 2) ** 2
        volume[inside] = 1.0
    return np.asarray(ndimage.gaussian_filter(volume, 1.2), np.float32)


def _lattice(step_x: float, step: float = 10.0) -> Float64:
    axes = [np.arange(-20, 21, each) for each in (step_x, step, step)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def test_spheres_with_gaps_have_no_bridges() -> None:
    centres = _lattice(10.0)
    volume = _volume(centres, np.zeros(len(centres)))
    found = find_bridges(volume, centres, DIAMETER, 1.0, np.ones(len(centres), bool))
    assert found.pair_share == 0.0 and found.particle_share == 0.0


def test_spheres_that_fill_rods_are_chained_to_the_length_of_a_rod() -> None:
    middles = _lattice(27.0)
    middles = middles[np.abs(middles[:, 0]) < 21]
    volume = _volume(middles, np.full(len(middles), 8.0))
    filled = np.concatenate([middles + np.array([shift, 0.0, 0.0]) for shift in (-7.5, 0.0, 7.5)])
    found = find_bridges(volume, filled, DIAMETER, 1.0, np.ones(len(filled), bool))
    assert found.particle_share == 1.0
    assert abs(found.chain_nm - 24.0) < 2.0
