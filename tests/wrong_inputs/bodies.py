"""Bodies of gold as clouds of points, each point with the gold that it stands for (nm3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from simulator.settings import Packing, SpecimenSettings
from simulator.specimen import make_assembly

Array = NDArray[np.float64]
Inside = Callable[[Array], NDArray[np.bool_]]

STEP_NM = 0.55
"""Spacing of the points; each lies at a random place of its cell, so that no lattice shows."""
D = 6.3
"""Diameter of the usual particle (nm)."""


@dataclass(frozen=True, eq=False)
class Body:
    """Points [n, 3] (x, y, z), nm, and the gold of each, nm3."""

    points_nm: Array
    gold_nm3: Array

    def __add__(self, other: Body) -> Body:
        return Body(
            np.vstack([self.points_nm, other.points_nm]), np.r_[self.gold_nm3, other.gold_nm3]
        )

    def moved(self, *by_nm: float) -> Body:
        """Return the body at another place."""
        return Body(self.points_nm + np.array(by_nm), self.gold_nm3)


def filled(inside: Inside, reach_nm: float, density: float = 1.0, seed: int = 0) -> Body:
    """Fill the region where `inside` [n] is true, within a cube of half side `reach_nm`."""
    rng = np.random.default_rng(seed)
    axis = np.arange(-reach_nm, reach_nm, STEP_NM)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    points = grid + rng.uniform(0, STEP_NM, grid.shape)
    points = points[inside(points)]
    return Body(points, np.full(len(points), density * STEP_NM**3))


def copies(piece: Body, centres_nm: Array, turns: Rotation | None = None) -> Body:
    """Place a copy of a piece at each centre [n, 3], each with its own turn."""
    turned = (
        [piece.points_nm] * len(centres_nm)
        if turns is None
        else [turn.apply(piece.points_nm) for turn in turns]
    )
    points = np.vstack([p + centre for p, centre in zip(turned, centres_nm, strict=True)])
    return Body(points, np.tile(piece.gold_nm3, len(centres_nm)))


def sites(packing: Packing, assembly_nm: float, spacing: float = 1.22, seed: int = 5) -> Array:
    """Return the centres [n, 3] of a packed assembly."""
    settings = SpecimenSettings(
        packing=packing, assembly_diameter_nm=assembly_nm, spacing_ratio=spacing
    )
    return make_assembly(settings, seed).centres_nm


def scattered(number: int, reach_nm: float, apart_nm: float, seed: int) -> Array:
    """Return random centres [n, 3] in a ball, at least `apart_nm` from each other."""
    rng = np.random.default_rng(seed)
    kept = np.zeros((0, 3))
    for _ in range(20000):
        point = rng.uniform(-reach_nm, reach_nm, 3)
        far = np.linalg.norm(kept - point, axis=1) >= apart_nm
        if np.linalg.norm(point) <= reach_nm and far.all():
            kept = np.vstack([kept, point])
        if len(kept) == number:
            break
    return kept


def ball(diameter_nm: float = D, density: float = 1.0) -> Body:
    """Return a solid sphere."""
    return filled(lambda p: _r(p) <= diameter_nm / 2, diameter_nm / 2 + 1, density)


def shell(diameter_nm: float, hole_nm: float) -> Body:
    """Return a hollow sphere."""
    reach = diameter_nm / 2 + 1
    return filled(lambda p: (_r(p) <= diameter_nm / 2) & (_r(p) >= hole_nm / 2), reach)


def rod(length_nm: float, width_nm: float) -> Body:
    """Return a cylinder with round ends along z."""
    half = (length_nm - width_nm) / 2

    def inside(p: Array) -> NDArray[np.bool_]:
        along = np.maximum(np.abs(p[:, 2]) - half, 0)
        return np.asarray(np.hypot(np.hypot(p[:, 0], p[:, 1]), along) <= width_nm / 2)

    return filled(inside, length_nm / 2 + 1)


def box(*sides_nm: float) -> Body:
    """Return a cuboid."""
    half = np.array(sides_nm) / 2
    return filled(lambda p: np.all(np.abs(p) <= half, axis=1), float(half.max()) + 1)


def octahedron(edge_nm: float) -> Body:
    """Return an octahedron."""
    reach = edge_nm / np.sqrt(2)
    return filled(lambda p: np.abs(p).sum(axis=1) <= reach, reach + 1)


def needle() -> Body:
    """Return a tip along the tilt axis: 44 nm long, 24 nm wide at its foot."""

    def inside(p: Array) -> NDArray[np.bool_]:
        width = 12 * (22 - p[:, 1]) / 44
        return np.asarray((np.abs(p[:, 1]) < 22) & (np.hypot(p[:, 0], p[:, 2]) < width))

    return filled(inside, 23)


def foam(seed: int = 4, pore_nm: float = 5.0, share: float = 0.4) -> Body:
    """Return a sponge: the brighter part of smoothed noise, in a ball of 44 nm."""
    rng = np.random.default_rng(seed)
    n = 96
    noise = ndimage.gaussian_filter(rng.normal(size=(n, n, n)), pore_nm / 2, mode="wrap")
    solid = noise > np.quantile(noise, 1 - share)

    def inside(p: Array) -> NDArray[np.bool_]:
        z, y, x = np.floor(p.T * 2).astype(int) % n
        return np.asarray((_r(p) <= 22) & solid[z, y, x])

    return filled(inside, 23)


def fibres(number: int = 14, seed: int = 2) -> Body:
    """Return straight fibres 5 nm wide in random directions through a ball of 44 nm."""
    rng = np.random.default_rng(seed)
    turns = Rotation.random(number, random_state=seed)
    return copies(rod(36, 5), rng.uniform(-9, 9, (number, 3)), turns)


def helix() -> Body:
    """Return a coil 5 nm thick along the tilt axis."""
    t = np.linspace(0, 6 * np.pi, 240)
    path = np.stack([14 * np.cos(t), 40 * t / (6 * np.pi) - 20, 14 * np.sin(t)], axis=1)
    return copies(ball(5.0, 0.12), path)


def plates(seed: int = 6) -> Body:
    """Return thin plates of 16 nm in random directions."""
    centres = scattered(14, 17, 10, seed)
    return copies(box(16, 16, 2.5), centres, Rotation.random(len(centres), random_state=seed))


def _r(points: Array) -> Array:
    return np.asarray(np.linalg.norm(points, axis=1))
