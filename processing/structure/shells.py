"""Reference shells: the nearest neighbours of a particle in each structure.

Each shell also holds the starts of a fit: rotations by which a pair of neighbouring vertices can
lie, one for each way that the shell's own rotations do not repeat.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from processing.series import Float64
from processing.structure_results import StructureType

ADJACENT_DEG = 75.0
"""Largest angle between two adjacent vertices of a shell; the next larger one is 90 degrees."""
SAME = 1e-6
"""Largest difference of coordinates that are equal."""


@dataclass(frozen=True, eq=False)
class Shell:
    """Nearest neighbours of a particle in a structure.

    Attributes
    ----------
    structure
        Structure whose shell it is.
    vertices
        [vertex, 3], of mean length 1.
    pair_frames
        [start, 3, 3]: frames (rows) of pairs of adjacent vertices; see `frames`.
    median_length
        Median length of the twelve shortest vertices.
    """

    structure: StructureType
    vertices: Float64
    pair_frames: Float64
    median_length: float


def frames(first: Float64, second: Float64) -> Float64:
    """Return orthonormal frames [..., 3, 3] whose rows are set by pairs of vectors [..., 3].

    Row 0 is along the sum of the two directions, row 1 in their plane, row 2 normal to it.
    """
    first = first / np.linalg.norm(first, axis=-1, keepdims=True)
    second = second / np.linalg.norm(second, axis=-1, keepdims=True)
    middle, across = first + second, first - second
    rows = np.stack([middle, across, np.cross(middle, across)], axis=-2)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-12), np.float64)


@cache
def shells() -> tuple[Shell, ...]:
    """Return the reference shells of all structures that are told apart."""
    kinds = StructureType
    return (
        _shell(kinds.FCC, _fcc()),
        _shell(kinds.HCP, _hcp()),
        _shell(kinds.BCC, _bcc()),
        _shell(kinds.ICOSAHEDRAL, _icosahedron()),
        _shell(kinds.ICOSAHEDRAL, _fivefold_axis()),
    )


def rotations_of(vertices: Float64) -> Float64:
    """Return the proper rotations [n, 3, 3] that bring vertices onto vertices."""
    pairs = _adjacent_pairs(vertices)
    base = frames(vertices[pairs[0][0]], vertices[pairs[0][1]])
    all_frames = frames(vertices[[a for a, _ in pairs]], vertices[[b for _, b in pairs]])
    turns = np.swapaxes(all_frames, 1, 2) @ base
    moved = vertices @ np.swapaxes(turns, 1, 2)
    apart = np.linalg.norm(moved[:, :, None] - vertices, axis=-1).min(axis=2)
    return np.asarray(turns[apart.max(axis=1) < SAME], np.float64)


def _shell(structure: StructureType, vertices: Float64) -> Shell:
    lengths = np.linalg.norm(vertices, axis=1)
    vertices = vertices / lengths.mean()
    median = float(np.median(np.sort(lengths / lengths.mean())[:12]))
    return Shell(structure, vertices, _starts(vertices), median)


def _starts(vertices: Float64) -> Float64:
    """Return frames of adjacent pairs, one of each set that the shell's rotations exchange."""
    turns = rotations_of(vertices)
    kept: list[Float64] = []
    for a, b in _adjacent_pairs(vertices):
        frame = frames(vertices[a], vertices[b])
        images = frame @ np.swapaxes(turns, 1, 2)
        if not any(np.abs(images - one).max(axis=(1, 2)).min() < SAME for one in kept):
            kept.append(frame)
    return np.stack(kept)


def _adjacent_pairs(vertices: Float64) -> list[tuple[int, int]]:
    unit = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    cosine = unit @ unit.T
    near = (cosine > np.cos(np.deg2rad(ADJACENT_DEG))) & (cosine < 1 - SAME)
    return [(int(a), int(b)) for a, b in np.argwhere(near)]


def _fcc() -> Float64:
    """Twelve permutations of (1, 1, 0), in the axes of the cube."""
    signs = np.array([(a, b) for a in (1.0, -1.0) for b in (1.0, -1.0)])
    faces = np.column_stack([signs, np.zeros(4)])
    return np.concatenate([np.roll(faces, turn, axis=1) for turn in range(3)])


def _hcp() -> Float64:
    """Six in the close-packed plane, three above, three below; z is the stacking axis."""
    plane = _ring(6, 0.0, 1.0, 0.0)
    radius, height = 1 / np.sqrt(3), np.sqrt(2 / 3)
    return np.concatenate(
        [plane, _ring(3, np.pi / 6, radius, height), _ring(3, np.pi / 6, radius, -height)]
    )


def _bcc() -> Float64:
    """Eight corners and six second neighbours, in the axes of the cube."""
    corners = np.array([(a, b, c) for a in (1.0, -1.0) for b in (1.0, -1.0) for c in (1.0, -1.0)])
    return np.concatenate([corners, 2 * np.eye(3), -2 * np.eye(3)])


def _icosahedron() -> Float64:
    golden = (1 + np.sqrt(5)) / 2
    edges = np.array([(0.0, a, b * golden) for a in (1.0, -1.0) for b in (1.0, -1.0)])
    return np.concatenate([np.roll(edges, turn, axis=1) for turn in range(3)])


def _fivefold_axis() -> Float64:
    """Neighbours of a particle on the axis in which five fcc grains meet."""
    radius = np.sqrt(3) / 2
    poles = np.array([(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)])
    return np.concatenate([poles, _ring(5, 0.0, radius, 0.5), _ring(5, 0.0, radius, -0.5)])


def _ring(number: int, start_rad: float, radius: float, height: float) -> Float64:
    angles = start_rad + 2 * np.pi * np.arange(number) / number
    return np.column_stack(
        [radius * np.cos(angles), radius * np.sin(angles), np.full(number, height)]
    )
