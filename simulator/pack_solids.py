"""Packings of rods and polyhedra without overlap: ordered, or pushed apart from random places."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simulator.settings import Shape
from simulator.solids import Solid, overlapping_pairs

Array = NDArray[np.float64]

FILL = {Shape.ROD: 0.5, Shape.CUBE: 0.55, Shape.OCTAHEDRON: 0.5, Shape.TETRAHEDRON: 0.36}
"""Volume fraction of disordered solids with half the gap around each."""
ROUNDS = 400
"""Largest number of rounds of pushing apart."""


@dataclass(frozen=True)
class PackingOfSolids:
    """Solids in a ball, with a gap between neighbours as ligands make it.

    Attributes
    ----------
    radius_nm
        Radius of the ball.
    position_disorder
        Standard deviation of ordered places, in widths.
    turn_disorder_deg
        Standard deviation of ordered orientations about each axis.
    """

    solid: Solid
    gap_nm: float
    radius_nm: float
    position_disorder: float
    turn_disorder_deg: float

    def ordered(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return centres [n, 3] and quaternions [n, 4] of layers of rods, or of a lattice."""
        if self.solid.shape is Shape.ROD:
            sites = self._layers_of_rods(rng)
        else:
            sites = self._lattice() + rng.uniform(-0.5, 0.5, 3) * self.solid.width_nm
        sites += rng.normal(0.0, self.position_disorder * self.solid.width_nm, sites.shape)
        own = Rotation.from_rotvec(
            np.deg2rad(self.turn_disorder_deg) * rng.normal(size=(len(sites), 3)).clip(-2, 2)
        )
        whole = Rotation.random(random_state=rng)
        return whole.apply(sites), (whole * own).as_quat()

    def _lattice(self) -> Array:
        """Return the sites of polyhedra of one orientation, more than the ball holds."""
        width, gap = self.solid.width_nm, self.gap_nm
        match self.solid.shape:
            case Shape.CUBE:
                step, even = width + gap, False
            case Shape.OCTAHEDRON:  # face-centred cubic: edges along one another
                step, even = width / np.sqrt(2.0) + gap * np.sqrt(3.0) / 2.0, True
            case _:  # the cubes around tetrahedra
                step, even = width / np.sqrt(2.0) + gap, False
        half = int(np.ceil(self.radius_nm / step)) + 2
        grid = np.array(list(product(range(-half, half + 1), repeat=3)), float)
        return step * (grid[grid.sum(axis=1) % 2 == 0] if even else grid)

    def _layers_of_rods(self, rng: np.random.Generator) -> Array:
        """Return smectic layers along z, each a hexagonal lattice at a random place."""
        step = self.solid.width_nm + self.gap_nm
        height = self.solid.length_nm + self.gap_nm
        half, layers = (int(np.ceil(self.radius_nm / each)) + 2 for each in (0.8 * step, height))
        grid = np.array(list(product(range(-half, half + 1), repeat=2)), float)
        plane = step * np.column_stack([grid[:, 0] + grid[:, 1] / 2, grid[:, 1] * np.sqrt(0.75)])
        start = rng.uniform(-0.5, 0.5) * height
        sites = [
            np.column_stack([plane + rng.uniform(-step, step, 2), np.full(len(plane), z)])
            for z in start + height * np.arange(-layers, layers + 1)
        ]
        return np.vstack(sites)

    def disordered(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Return centres [n, 3] and quaternions [n, 4] of a random packing.

        Each solid is covered with balls. Balls of different solids that overlap push their solids
        apart and turn them. The packing is made in a larger ball, so that its density is constant
        up to the surface.
        """
        box_nm = self.radius_nm + 0.5 * self.solid.length_nm
        one_nm3 = self._grown().volume_nm3
        number = int(FILL[self.solid.shape] * 4.0 / 3.0 * np.pi * box_nm**3 / one_nm3)
        centres = rng.normal(size=(number, 3))
        centres *= box_nm * rng.random((number, 1)) ** (1 / 3) / _lengths(centres)
        turns = Rotation.random(number, random_state=rng)
        offsets, radius_nm = covering_balls(self.solid)
        reach = 2.0 * radius_nm + self.gap_nm
        for _ in range(ROUNDS):
            balls = turns.as_matrix() @ offsets.T + centres[:, :, None]
            largest, moves, spins = _pushed(np.swapaxes(balls, 1, 2), centres, reach)
            if largest < 0.25 * self.gap_nm:
                break
            centres = centres + moves
            turns = Rotation.from_rotvec(spins) * turns
            centres *= np.minimum(1.0, box_nm / _lengths(centres))
        return centres, turns.as_quat()

    def _grown(self) -> Solid:
        """Return the solid with half the gap on each side."""
        if self.solid.shape is Shape.ROD:
            width, length = (
                each + self.gap_nm for each in (self.solid.width_nm, self.solid.length_nm)
            )
            return replace(self.solid, width_nm=width, length_nm=length)
        inner_nm = float(self.solid.faces[1][0])
        width = self.solid.width_nm * (1.0 + 0.5 * self.gap_nm / inner_nm)
        return replace(self.solid, width_nm=width, length_nm=width)


def covering_balls(solid: Solid) -> tuple[Array, float]:
    """Return the centres [k, 3] and the radius (nm) of balls inside a solid that cover it."""
    if solid.shape is Shape.ROD:
        half = solid.half_axis_nm
        along = np.linspace(-half, half, 2 + int(np.ceil(3.0 * half / solid.width_nm)))
        return np.column_stack([0 * along, 0 * along, along]), solid.width_nm / 2.0
    share = {Shape.CUBE: 1 / 6, Shape.OCTAHEDRON: 0.13}.get(solid.shape, 0.06)
    radius = share * solid.width_nm
    corners = solid.vertices_nm * (1.0 - radius / float(solid.faces[1][0]))
    first, other = np.array(list(combinations(corners, 2))).swapaxes(0, 1)
    lengths = _lengths(first - other)[:, 0]
    middles = (first + other)[lengths < 1.01 * lengths.min()] / 2.0
    inner_nm = float(solid.faces[1][0]) - radius
    return np.vstack([corners, middles, solid.faces[0] * inner_nm]), radius


def _pushed(balls: Array, centres: Array, reach: float) -> tuple[float, Array, Array]:
    """Return the largest overlap of balls [n, k, 3], and the moves and turns that lessen all."""
    number, each = balls.shape[:2]
    places = balls.reshape(-1, 3)
    pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
    pairs = pairs[pairs[:, 0] // each != pairs[:, 1] // each]
    moves, spins = np.zeros((number, 3)), np.zeros((number, 3))
    if not len(pairs):
        return 0.0, moves, spins
    between = places[pairs[:, 0]] - places[pairs[:, 1]]
    distance = np.maximum(_lengths(between), 1e-6)
    push = between / distance * (reach - distance) / 2.0
    owners = np.concatenate([pairs[:, 0], pairs[:, 1]]) // each
    pushes = np.concatenate([push, -push])
    levers = places[pairs.T.ravel()] - centres[owners]
    twists = np.cross(levers, pushes)
    inertia = np.bincount(owners, (levers**2).sum(axis=1), number)
    contacts = np.maximum(np.bincount(owners, minlength=number), 1)
    for axis in range(3):
        moves[:, axis] = np.bincount(owners, pushes[:, axis], number)
        spins[:, axis] = np.bincount(owners, twists[:, axis], number)
    moves *= 2.5 / (contacts + 1.5)[:, None]
    spins *= (1.5 / np.maximum(inertia, 1e-6))[:, None]
    return float((reach - distance).max()), moves, spins.clip(-0.3, 0.3)


def apart(
    solid: Solid, centres_nm: Array, quaternions: Array, widths_nm: Array
) -> NDArray[np.bool_]:
    """Return which solids [n] remain if one of each overlapping pair is removed."""
    kept = np.ones(len(centres_nm), bool)
    if not len(centres_nm):
        return kept
    larger = float(widths_nm.max()) / solid.width_nm
    largest = replace(solid, width_nm=larger * solid.width_nm, length_nm=larger * solid.length_nm)
    turns = Rotation.from_quat(quaternions).as_matrix()
    for first, other in overlapping_pairs(largest, centres_nm, turns):
        if kept[first]:
            kept[other] = False
    return kept


def _lengths(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=1, keepdims=True), np.float64)
