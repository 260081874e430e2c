"""Particles with facets: truncated octahedra in place of the spheres of the simulator.

The simulator draws spheres. The difference of the thickness of polyhedron and sphere is added to
its images, times the counts that one more nm of gold gives at the brightness of the pixel.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from tests.odd_specimens.scene import COUNTS_PER_NM, DARK_COUNTS, Float32, Float64, Scene, View

LIMIT_COUNTS = 57.0 * COUNTS_PER_NM
"""Signal of very thick gold: the response is a tanh with a scale of 57 nm."""
SUB_PIXELS = 3


def _normals() -> Float64:
    cube = np.vstack([np.eye(3), -np.eye(3)])
    octahedron = np.array(list(product((1, -1), repeat=3))) / np.sqrt(3)
    return np.vstack([cube, octahedron])


NORMALS = _normals()
DISTANCES = np.r_[np.full(6, 2 / np.sqrt(5)), np.full(8, 3 / np.sqrt(15))]
"""Distances of the {100} and {111} faces of a regular truncated octahedron, corners at 1."""
VOLUME = 8 * np.sqrt(2) * (2 / np.sqrt(10)) ** 3
"""Its volume: its edge is 2 / sqrt(10)."""


def facets(images: Float32, scene: Scene) -> None:
    """Turn each sphere into a truncated octahedron of the same volume, in a random direction."""
    diameters = scene.particles.diameters_nm
    # the same particles in A and B
    turns = Rotation.random(len(diameters), random_state=1).as_matrix()
    for image, view in zip(images, scene.views, strict=True):
        excess_nm = _excess_nm(scene, turns, view)
        signal = np.clip((image - DARK_COUNTS) / LIMIT_COUNTS, 0, 0.95)
        image += excess_nm * COUNTS_PER_NM * (1 - signal**2)


def _excess_nm(scene: Scene, turns: Float64, view: View) -> Float32:
    """Return the thickness of the polyhedra less that of the spheres, [y, x], nm."""
    n, pixel_nm = scene.size.field_px, scene.size.pixel_nm
    total = np.zeros((n, n), np.float32)
    reach = int(np.ceil(0.7 * scene.particles.diameters_nm.max() / pixel_nm)) + 1
    seen_nm = view.project(scene.particles.centres_nm)
    fine = (np.arange(SUB_PIXELS) + 0.5) / SUB_PIXELS - 0.5
    offset = (np.arange(-reach, reach + 1)[:, None] + fine).ravel()
    for turn, diameter, (u, v) in zip(turns, scene.particles.diameters_nm, seen_nm, strict=True):
        column, row = (round(float(at / pixel_nm + (n - 1) / 2)) for at in (u, v))
        if not (reach <= column < n - reach and reach <= row < n - reach):
            continue
        du = (column - (n - 1) / 2 + offset) * pixel_nm - u
        dv = (row - (n - 1) / 2 + offset) * pixel_nm - v
        faces = NORMALS @ turn.T
        chords = _chords(faces, diameter, (du, dv), view)
        sphere = (diameter / 2) ** 2 - du[None, :] ** 2 - dv[:, None] ** 2
        chords -= 2 * np.sqrt(np.maximum(sphere, 0))
        side = 2 * reach + 1
        mean = chords.reshape(side, SUB_PIXELS, side, SUB_PIXELS).mean(axis=(1, 3))
        total[row - reach : row + reach + 1, column - reach : column + reach + 1] += mean
    return total


def _chords(
    faces: Float64,
    diameter: float,
    offsets: tuple[Float64, Float64],
    view: View,
) -> Float64:
    """Return the length of the beam's path in one polyhedron, [v, u], nm."""
    corner = (np.pi / 6 / VOLUME) ** (1 / 3) * diameter
    du, dv = offsets
    at = (faces @ view.matrix[0])[:, None, None] * du[None, None, :]
    at = at + (faces @ view.matrix[1])[:, None, None] * dv[None, :, None]
    room = corner * DISTANCES[:, None, None] - at
    along = (faces @ view.beam)[:, None, None]
    along = np.where(np.abs(along) < 1e-6, 1e-6, along)
    ends = room / along
    leaves = np.where(along > 0, ends, np.inf).min(axis=0)
    enters = np.where(along < 0, ends, -np.inf).max(axis=0)
    return np.asarray(np.maximum(leaves - enters, 0), np.float64)
