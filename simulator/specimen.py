"""Specimen: gold particles packed in a spherical assembly that dried flat on a film.

Frame: the origin is the centre of the spherical envelope. z points towards the electron source
in series A. The flat side, where the assembly lies on the grid, faces +z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simulator.crystals import (
    faulted,
    fcc,
    icosahedral,
    laves,
    multi_grain,
    neighbour_distance_nm,
    twinned,
)
from simulator.envelope import inside_assembly
from simulator.pack_solids import PackingOfSolids, apart
from simulator.settings import Arrangement, Packing, Shape, SpecimenSettings
from simulator.solids import Solid

Array = NDArray[np.float64]

GOLD = 79
"""Atomic number of gold."""
POWER_OF_ATOMIC_NUMBER = 1.7
DISORDERED_PACKING = 0.60
"""Volume fraction of touching spheres in the disordered packing (random close: 0.64)."""


@dataclass(frozen=True, eq=False)
class Particles:
    """Particle centres [n, 3] as x, y, z, nm, and diameters [n], nm."""

    centres_nm: Array
    diameters_nm: Array
    """Diameter of spheres, width of solids."""
    quaternions: Array | None = None
    """Orientations [n, 4] of solids as x, y, z, w; None for spheres."""
    solid: Solid | None = None
    """Solid of a typical particle, which a particle resembles to scale; None for spheres."""
    scattering: Array | None = None
    """Scattering of each particle [n], over that of gold of its volume; None for gold alone."""

    def __len__(self) -> int:
        return len(self.diameters_nm)

    @property
    def gold_nm3(self) -> Array:
        """Volume of gold that scatters as much as each particle, [n]."""
        if self.scattering is None:
            return self.volumes_nm3
        return self.volumes_nm3 * self.scattering

    @property
    def volumes_nm3(self) -> Array:
        """Volume of each particle, [n]."""
        if self.solid is None:
            return np.asarray(np.pi / 6.0 * self.diameters_nm**3)
        return self.solid.volume_nm3 * (self.diameters_nm / self.solid.width_nm) ** 3

    def select(self, chosen: NDArray[np.bool_]) -> Particles:
        """Return some of the particles."""
        turned = None if self.quaternions is None else self.quaternions[chosen]
        scattering = None if self.scattering is None else self.scattering[chosen]
        centres_nm, diameters_nm = self.centres_nm[chosen], self.diameters_nm[chosen]
        return Particles(centres_nm, diameters_nm, turned, self.solid, scattering)

    def moved(self, centres_nm: Array, turn: Rotation) -> Particles:
        """Return the particles at other centres [n, 3], turned by a rotation or by n of them."""
        if self.quaternions is None or not len(self):
            return replace(self, centres_nm=centres_nm)
        turned = turn * Rotation.from_quat(self.quaternions)
        return replace(self, centres_nm=centres_nm, quaternions=turned.as_quat())


def joined(parts: Sequence[Particles]) -> Particles:
    """Return the particles of all parts, which have the same shape."""
    turned = [each.quaternions for each in parts if each.quaternions is not None]
    gold = all(each.scattering is None for each in parts)
    scattering = [each.gold_nm3 / each.volumes_nm3 for each in parts]
    return Particles(
        np.vstack([each.centres_nm for each in parts]),
        np.concatenate([each.diameters_nm for each in parts]),
        np.vstack(turned) if turned else None,
        parts[0].solid,
        None if gold else np.concatenate(scattering),
    )


def make_assembly(settings: SpecimenSettings, seed: int, index: int = 0) -> Particles:
    """Make assembly number `index` (0-based); settings, seed and index determine it."""
    rng = np.random.default_rng([seed, index])
    solid = solid_of(settings)
    if solid is not None:
        return _assembly_of_solids(solid, settings, rng)
    if settings.packing is Packing.LAVES:
        centres, small = laves(settings, rng)
    else:
        centres, small = _PACKINGS[settings.packing](settings, rng), None
    diameters = settings.particle_diameter_nm * (
        1.0 + settings.size_spread * np.clip(rng.standard_normal(len(centres)), -2.5, 2.5)
    )
    if small is None and settings.small_share > 0:
        small = rng.random(len(centres)) < settings.small_share
    if small is not None:
        diameters = np.where(small, settings.small_ratio * diameters, diameters)
    if settings.other_share == 0:
        return Particles(centres, diameters)
    other = rng.random(len(centres)) < settings.other_share
    scattering = np.where(other, scattering_over_gold(settings.other_atomic_number), 1.0)
    return Particles(centres, diameters, scattering=scattering)


def scattering_over_gold(atomic_number: int) -> float:
    """Return what an element scatters to the detector, over gold with as many atoms in its volume.

    It grows with the atomic number to the power of about 1.7 (Krivanek et al., Nature 2010, 464,
    571: 1.64; Pennycook, Ultramicroscopy 1989, 30, 58: up to 2). Silver and gold have as many atoms
    in a volume.
    """
    return float((atomic_number / GOLD) ** POWER_OF_ATOMIC_NUMBER)


def solid_of(settings: SpecimenSettings) -> Solid | None:
    """Return the solid of the particles; None for spheres."""
    if settings.shape is Shape.SPHERE:
        return None
    width_nm = settings.particle_diameter_nm
    is_rod = settings.shape is Shape.ROD
    return Solid(settings.shape, width_nm, settings.rod_length_nm if is_rod else width_nm)


def _assembly_of_solids(
    solid: Solid, settings: SpecimenSettings, rng: np.random.Generator
) -> Particles:
    width_nm = settings.particle_diameter_nm
    packed = PackingOfSolids(
        solid,
        gap_nm=(settings.spacing_ratio - 1.0) * width_nm,
        radius_nm=settings.assembly_diameter_nm / 2.0,
        position_disorder=settings.position_disorder,
        turn_disorder_deg=settings.turn_disorder_deg,
    )
    pack = packed.ordered if settings.arrangement is Arrangement.ORDERED else packed.disordered
    centres_nm, quaternions = pack(rng)
    largest = 1.0 + 0.5 * (settings.spacing_ratio - 1.0)
    sizes = 1.0 + settings.size_spread * np.clip(rng.standard_normal(len(centres_nm)), -2.5, 2.5)
    particles = Particles(centres_nm, width_nm * np.minimum(sizes, largest), quaternions, solid)
    inside = particles.select(inside_assembly(centres_nm, settings))
    assert inside.quaternions is not None
    return inside.select(apart(solid, inside.centres_nm, inside.quaternions, inside.diameters_nm))


def _disordered(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return a random dense packing: random points pushed apart until no spheres overlap.

    The points are relaxed in a larger sphere at the final density, then the assembly is cut out.
    Its density is therefore constant up to its surface.
    """
    spacing = neighbour_distance_nm(settings)
    box = settings.assembly_diameter_nm / 2.0 + spacing
    number = int(DISORDERED_PACKING * (2.0 * box / spacing) ** 3)
    points = rng.normal(size=(number, 3))
    points *= box * rng.random((number, 1)) ** (1 / 3) / np.linalg.norm(points, axis=1)[:, None]
    points = _push_apart(points, spacing, box)
    return points[inside_assembly(points, settings)]


def _push_apart(points: Array, spacing_nm: float, box_radius_nm: float) -> Array:
    """Move the spheres in a spherical box until their overlaps are small.

    Each round moves every sphere by half of each of its overlaps, divided by a factor that grows
    with the number of its contacts (Jacobi relaxation). Several rounds share one neighbour list.
    """
    list_margin = 0.25 * spacing_nm
    for _ in range(60):
        pairs = cKDTree(points).query_pairs(spacing_nm + list_margin, output_type="ndarray")
        start = points.copy()
        while np.abs(points - start).max() < list_margin / 4.0:
            largest = _relax_once(points, pairs, spacing_nm, box_radius_nm)
            if largest < 0.05 * spacing_nm:
                return points
    return points


def _relax_once(
    points: Array, pairs: NDArray[np.int64], spacing_nm: float, box_radius_nm: float
) -> float:
    """Move `points` in place by one round; return the largest overlap before it, nm."""
    difference = points[pairs[:, 0]] - points[pairs[:, 1]]
    distance = np.linalg.norm(difference, axis=1)
    overlap = np.maximum(spacing_nm - distance, 0.0)
    push = difference * (0.5 * overlap / np.maximum(distance, 1e-9))[:, None]
    touching = overlap > 0
    contacts = np.bincount(pairs[touching].ravel(), minlength=len(points))
    for axis in range(3):
        points[:, axis] += (
            np.bincount(pairs[:, 0], push[:, axis], len(points))
            - np.bincount(pairs[:, 1], push[:, axis], len(points))
        ) / np.maximum(contacts / 3.0, 1.0)
    radius = np.linalg.norm(points, axis=1)
    points *= np.minimum(1.0, box_radius_nm / radius)[:, None]
    return float(overlap.max(initial=0.0))


_PACKINGS = {
    Packing.FCC: fcc,
    Packing.TWINNED: twinned,
    Packing.FAULTED: faulted,
    Packing.ICOSAHEDRAL: icosahedral,
    Packing.MULTI_GRAIN: multi_grain,
    Packing.DISORDERED: _disordered,
}
