"""Particles that are no spheres: rods and polyhedra, their thickness along the beam, and overlaps.

A solid is convex, and centred on its centre of mass. Its size is given by one width: the diameter
of a rod with round ends, or the edge of a cube, an octahedron or a tetrahedron.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from simulator.settings import Shape

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

PARALLEL = 1e-9
"""Component of a unit vector along the beam below which it counts as perpendicular to it."""


@dataclass(frozen=True)
class Solid:
    """Convex body of one shape.

    Attributes
    ----------
    width_nm
        Diameter of a rod, or length of an edge.
    length_nm
        Length of a rod with its round ends; for other shapes equal to the width.
    """

    shape: Shape
    width_nm: float
    length_nm: float

    @property
    def half_axis_nm(self) -> float:
        """Half the length of a rod's axis, without the round ends."""
        return (self.length_nm - self.width_nm) / 2.0

    @cached_property
    def vertices_nm(self) -> Array:
        """Corners [n, 3]; of a rod the two ends of its axis, which lies along z."""
        match self.shape:
            case Shape.ROD:
                ends = [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]]
                return np.array(ends, np.float64) * self.half_axis_nm
            case Shape.CUBE:
                corners = list(product((-0.5, 0.5), repeat=3))
                return np.array(corners, np.float64) * self.width_nm
            case Shape.OCTAHEDRON:
                tips = np.vstack([np.eye(3), -np.eye(3)])
                return np.asarray(tips * (self.width_nm / np.sqrt(2.0)), np.float64)
            case _:
                four = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
                return np.asarray(np.array(four) * (self.width_nm / np.sqrt(8.0)), np.float64)

    @cached_property
    def faces(self) -> tuple[Array, Array]:
        """Outward unit normals [n, 3] of a polyhedron's faces, and their distances (nm)."""
        corners = self.vertices_nm
        found: dict[tuple[float, ...], float] = {}
        for three in combinations(corners, 3):
            normal = np.cross(three[1] - three[0], three[2] - three[0])
            normal /= np.linalg.norm(normal)
            heights = corners @ normal
            for sign in (-1.0, 1.0):
                height = float(sign * three[0] @ normal)
                if (sign * heights <= height + 1e-9).all():
                    found[tuple(np.round(sign * normal, 9) + 0.0)] = height
        return np.array(list(found)), np.array(list(found.values()))

    @cached_property
    def edges(self) -> Array:
        """Unit directions [n, 3] of a polyhedron's edges; parallel ones once."""
        first, other = (
            np.array(each) for each in zip(*combinations(self.vertices_nm, 2), strict=True)
        )
        along = other - first
        lengths = np.linalg.norm(along, axis=1)
        along = along[lengths < lengths.min() + 1e-9] / lengths.min()
        kept: list[Array] = []
        for direction in along:
            if all(abs(direction @ each) < 1.0 - 1e-9 for each in kept):
                kept.append(direction)
        return np.array(kept)

    @property
    def radius_nm(self) -> float:
        """Radius of the sphere around the solid."""
        if self.shape is Shape.ROD:
            return self.length_nm / 2.0
        return float(np.linalg.norm(self.vertices_nm[0]))

    @property
    def volume_nm3(self) -> float:
        """Volume."""
        cubed = self.width_nm**3
        match self.shape:
            case Shape.ROD:
                cylinder = np.pi / 2.0 * self.width_nm**2 * self.half_axis_nm
                return float(np.pi / 6.0 * cubed + cylinder)
            case Shape.CUBE:
                return cubed
            case Shape.OCTAHEDRON:
                return float(np.sqrt(2.0) / 3.0 * cubed)
            case _:
                return float(cubed / (6.0 * np.sqrt(2.0)))


def thickness_nm(solid: Solid, turns: Array, points_nm: Array) -> Array:
    """Return the thickness [n, p] of turned solids along the beam, the third axis.

    Parameters
    ----------
    turns
        Rotation of each solid, [n, 3, 3].
    points_nm
        Lateral places (u, v) relative to each solid's centre, [p, 2].
    """
    if solid.shape is Shape.ROD:
        thickness = np.zeros((len(turns), len(points_nm)))
        for row, axis in zip(thickness, turns[:, :, 2], strict=True):
            shaded = _in_shadow(solid, axis, points_nm)
            row[shaded] = _rod_thickness_nm(solid, axis[None], points_nm[shaded])[0]
        return thickness
    normals, heights = solid.faces
    across = np.einsum("nij,kj->nki", turns, normals)
    left = heights[:, None] - across[..., :2] @ points_nm.T
    slope = across[..., 2:]
    crossing = left / np.where(np.abs(slope) < PARALLEL, 1.0, slope)
    # a face along the beam bounds nothing where the point is on its inner side
    outside = (np.abs(slope) < PARALLEL) & (left < 0)
    upper = np.where(slope > PARALLEL, crossing, np.inf).min(axis=1)
    lower = np.where(slope < -PARALLEL, crossing, -np.inf).max(axis=1)
    thickness = np.where(outside.any(axis=1), 0.0, np.maximum(upper - lower, 0.0))
    return np.asarray(thickness, np.float64)


def _in_shadow(solid: Solid, axis: Array, points_nm: Array) -> Bools:
    """Return which points [p, 2] a rod along `axis` [3] covers."""
    half = solid.half_axis_nm * axis[:2]
    along = (points_nm @ (half / max(float(half @ half), PARALLEL))).clip(-1.0, 1.0)
    off_u, off_v = points_nm[:, 0] - along * half[0], points_nm[:, 1] - along * half[1]
    return np.asarray(off_u * off_u + off_v * off_v < (solid.width_nm / 2.0) ** 2, bool)


def _rod_thickness_nm(solid: Solid, axes: Array, points_nm: Array) -> Array:
    """Return the thickness [n, p] of rods along `axes` [n, 3]: a cylinder between two balls."""
    radius, half = solid.width_nm / 2.0, solid.half_axis_nm
    lower = np.full((len(axes), len(points_nm)), np.inf)
    upper = -lower
    for end in (-half, half):
        off = points_nm[None] - end * axes[:, None, :2]
        inside = radius**2 - (off**2).sum(axis=2)
        half_chord = np.sqrt(np.maximum(inside, 0.0))
        middle = end * axes[:, 2:]
        lower = np.where(inside > 0, np.minimum(lower, middle - half_chord), lower)
        upper = np.where(inside > 0, np.maximum(upper, middle + half_chord), upper)
    rise = axes[:, 2:]
    along = axes[:, :2] @ points_nm.T
    square = np.maximum(1.0 - rise**2, PARALLEL)
    root = along**2 * rise**2 - square * ((points_nm**2).sum(axis=1) - along**2 - radius**2)
    reach = np.sqrt(np.maximum(root, 0.0))
    low, high = (along * rise - reach) / square, (along * rise + reach) / square
    safe = np.where(np.abs(rise) < PARALLEL, PARALLEL, rise)
    ends = (-half - along) / safe, (half - along) / safe
    low = np.maximum(low, np.minimum(*ends))
    high = np.minimum(high, np.maximum(*ends))
    crossed = (root > 0) & (high > low)
    lower = np.where(crossed, np.minimum(lower, low), lower)
    upper = np.where(crossed, np.maximum(upper, high), upper)
    return np.asarray(np.maximum(upper - lower, 0.0), np.float64)


def overlapping_pairs(solid: Solid, centres_nm: Array, turns: Array) -> NDArray[np.intp]:
    """Return the pairs [m, 2] of solids that share some volume.

    Parameters
    ----------
    turns
        Rotation of each solid, [n, 3, 3].
    """
    pairs: NDArray[np.intp] = cKDTree(centres_nm).query_pairs(
        2.0 * solid.radius_nm, output_type="ndarray"
    )
    if not len(pairs):
        return pairs
    first, other = pairs.T
    if solid.shape is Shape.ROD:
        axes = turns[:, :, 2] * solid.half_axis_nm
        distance = segment_distances(centres_nm[first], axes[first], centres_nm[other], axes[other])
        return pairs[distance < solid.width_nm]
    return pairs[
        ~_separated(solid, centres_nm[other] - centres_nm[first], turns[first], turns[other])
    ]


def _separated(solid: Solid, between_nm: Array, first: Array, other: Array) -> Bools:
    """Return for pairs [m] whether a plane parts them: the separating axis theorem."""
    normals, edges = solid.faces[0], solid.edges
    sides = [np.einsum("mij,kj->mki", turns, normals) for turns in (first, other)]
    lines = [np.einsum("mij,kj->mki", turns, edges) for turns in (first, other)]
    crossed = np.cross(lines[0][:, :, None], lines[1][:, None]).reshape(len(first), -1, 3)
    axes = np.concatenate([*sides, crossed], axis=1)
    lengths = np.linalg.norm(axes, axis=2, keepdims=True)
    axes = axes / np.maximum(lengths, 1e-12)
    ours, theirs = (
        np.einsum("mai,mij,kj->mak", axes, turns, solid.vertices_nm) for turns in (first, other)
    )
    apart = np.einsum("mai,mi->ma", axes, between_nm)
    gap = np.maximum(
        theirs.min(axis=2) + apart - ours.max(axis=2), ours.min(axis=2) - theirs.max(axis=2) - apart
    )
    return np.asarray(((gap > 0) & (lengths[..., 0] > 1e-6)).any(axis=1))


def segment_distances(first: Array, first_half: Array, other: Array, other_half: Array) -> Array:
    """Return the distances [m] of segments with these centres and half axes [m, 3]."""
    between = first - other
    a, b, c = (
        (one * two).sum(axis=1)
        for one, two in (
            (first_half, first_half),
            (first_half, other_half),
            (other_half, other_half),
        )
    )
    d, e = (first_half * between).sum(axis=1), (other_half * between).sum(axis=1)
    determinant = a * c - b * b
    s = np.clip((b * e - c * d) / np.where(determinant > 1e-9, determinant, np.inf), -1.0, 1.0)
    t = np.clip((b * s + e) / np.maximum(c, 1e-12), -1.0, 1.0)
    s = np.clip((b * t - d) / np.maximum(a, 1e-12), -1.0, 1.0)
    nearest = between + s[:, None] * first_half - t[:, None] * other_half
    return np.asarray(np.linalg.norm(nearest, axis=1), np.float64)
