"""Sites of the ordered packings of spheres, cut to the envelope of an assembly.

Real crystals are not perfect: close-packed planes are stacked wrongly (stacking faults), sites are
empty (vacancies), and the lattice planes are bent.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from simulator.envelope import inside_assembly
from simulator.settings import SpecimenSettings

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

GROWTH_FAULTS = 0.5
"""Share of the stacking faults beyond which the crystal is a twin; beyond the others it goes on in
its orientation, displaced along the plane."""


def neighbour_distance_nm(settings: SpecimenSettings) -> float:
    """Return the distance of neighbours, between their centres."""
    return settings.spacing_ratio * settings.particle_diameter_nm


def fcc(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites [n, 3] of a randomly oriented fcc crystal."""
    return _cut(_fcc_crystal(settings, rng), settings, rng)


def _fcc_crystal(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites [n, 3] of a randomly oriented fcc crystal, larger than the assembly."""
    spacing = neighbour_distance_nm(settings)
    # sites of a simple cubic grid whose index sum is even form an fcc lattice;
    # the edge of the cubic grid is spacing / sqrt(2)
    edge = spacing / np.sqrt(2.0)
    half_count = int(np.ceil(settings.assembly_diameter_nm / 2.0 / edge)) + 2
    index = np.arange(-half_count, half_count + 1)
    cube = np.stack(np.meshgrid(index, index, index, indexing="ij"), axis=-1).reshape(-1, 3)
    sites = cube[cube.sum(axis=1) % 2 == 0] * edge + rng.uniform(-edge, edge, 3)
    sites += rng.normal(0.0, settings.position_disorder * spacing, sites.shape)
    return np.asarray(Rotation.random(random_state=rng).apply(sites))


def twinned(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites [n, 3] of an fcc crystal with one twin plane through the centre."""
    layer = np.arange(-_planes_beside(settings), _planes_beside(settings) + 1)
    # close-packed planes are stacked ABC on one side of plane 0, and in the reverse order beyond
    return _placed(_stacked(np.abs(layer) % 3, settings), settings, rng)


def faulted(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites [n, 3] of an fcc crystal with random stacking faults of one orientation."""
    planes = 2 * _planes_beside(settings) + 1
    fault = rng.random(planes) < settings.stacking_fault_chance
    growth = fault & (rng.random(planes) < GROWTH_FAULTS)
    # ABCABC goes on as CBA beyond a growth fault, a twin plane. Beyond a deformation fault one
    # plane is in the other order, and all those after it are displaced: ABC|BCA.
    order = np.cumprod(np.where(growth, -1, 1))
    position = np.cumsum(np.where(fault & ~growth, -order, order)) % 3
    origin_nm = rng.uniform(-0.5, 0.5, 3) * neighbour_distance_nm(settings)
    return _placed(_stacked(position, settings) + origin_nm, settings, rng)


def _planes_beside(settings: SpecimenSettings) -> int:
    """Return the number of close-packed planes on each side of the middle one."""
    radius = settings.assembly_diameter_nm / 2.0 / neighbour_distance_nm(settings)
    return int(np.ceil(radius * 1.3)) + 2


def _stacked(position: NDArray[np.int64], settings: SpecimenSettings) -> Array:
    """Return the sites [n, 3] of close-packed planes whose positions A, B, C are 0, 1, 2."""
    half_count = _planes_beside(settings)
    index = np.arange(-half_count, half_count + 1)
    i, j, layer = (axis.ravel() for axis in np.meshgrid(index, index, index, indexing="ij"))
    shift = position[layer + half_count]
    sites = np.stack(
        [
            i + j / 2 + shift / 2,
            (j + shift / 3) * np.sqrt(3.0) / 2.0,
            layer * np.sqrt(2.0 / 3.0),
        ],
        axis=1,
    )
    inside = np.linalg.norm(sites, axis=1) < half_count
    return np.asarray(neighbour_distance_nm(settings) * sites[inside])


def icosahedral(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites of a Mackay icosahedron: twenty fcc grains that meet in twin planes."""
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    corners = np.array(
        [
            np.roll([0.0, first, second * golden], turn)
            for turn in range(3)
            for first in (-1.0, 1.0)
            for second in (-1.0, 1.0)
        ]
    )
    near = np.linalg.norm(corners[:, None] - corners[None], axis=2) < 2.1
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    spacing = neighbour_distance_nm(settings)
    # the radial distance of neighbours is 5 % smaller than the tangential one, which is 2 here
    shells = int(np.ceil(settings.assembly_diameter_nm / 2.0 / spacing * 1.3)) + 1
    sites = [np.zeros(3)]
    for shell in range(1, shells + 1):
        for a, b, c in faces:
            for i in range(shell + 1):
                for j in range(shell + 1 - i):
                    weights = np.array([i, j, shell - i - j], float)
                    sites.append(weights @ corners[[a, b, c]])
    unique = np.unique(np.round(sites, 6), axis=0)
    return _placed(spacing * unique / 1.95, settings, rng)


def multi_grain(settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites of Voronoi grains of fcc crystals.

    Sites of a later grain that are too close to an earlier grain are removed.
    """
    seeds = rng.normal(size=(settings.grains, 3))
    seeds *= rng.uniform(0.3, 0.7, (settings.grains, 1)) / np.linalg.norm(
        seeds, axis=1, keepdims=True
    )
    grain_centres = cKDTree(seeds * settings.assembly_diameter_nm / 2.0)
    min_distance = 0.9 * neighbour_distance_nm(settings)
    kept = np.empty((0, 3))
    for grain in range(settings.grains):
        sites = fcc(settings, rng)
        sites = sites[grain_centres.query(sites)[1] == grain]
        if len(kept) and len(sites):
            sites = sites[cKDTree(kept).query(sites)[0] >= min_distance]
        kept = np.vstack([kept, sites])
    return kept


def laves(settings: SpecimenSettings, rng: np.random.Generator) -> tuple[Array, Bools]:
    """Return the sites [n, 3] of a Laves crystal, and which of them small particles have [n].

    The structure is that of MgZn2 (C14), with the axes and parameters of touching spheres: large
    ones touch large ones, small ones touch small ones (Frank and Kasper, Acta Cryst. 1959, 12,
    483). There are two small particles for each large one.
    """
    large = [[1 / 3, 2 / 3, 1 / 16], [2 / 3, 1 / 3, 9 / 16]]
    large += [[2 / 3, 1 / 3, 15 / 16], [1 / 3, 2 / 3, 7 / 16]]
    rings = [
        [[-x, -2 * x, z], [2 * x, x, z], [-x, x, z]] for x, z in ((1 / 6, 1 / 4), (-1 / 6, 3 / 4))
    ]
    cell = np.array([*large, [0, 0, 0], [0, 0, 1 / 2], *rings[0], *rings[1]])
    edge = neighbour_distance_nm(settings) / np.sqrt(3 / 8)
    axes = edge * np.array([[1, 0, 0], [-1 / 2, np.sqrt(3 / 4), 0], [0, 0, np.sqrt(8 / 3)]])
    half_count = int(np.ceil(settings.assembly_diameter_nm / edge)) + 2
    index = np.arange(-half_count, half_count + 1)
    cells = np.stack(np.meshgrid(index, index, index, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    small = np.tile(np.arange(len(cell)) >= len(large), len(cells))
    sites = (cells + cell).reshape(-1, 3) @ axes + rng.uniform(-edge, edge, 3)
    near = np.linalg.norm(sites, axis=1) < settings.assembly_diameter_nm
    sites, small = _disordered(sites[near], settings, rng), small[near]
    sites, kept = _bent_and_kept(sites, settings, rng)
    return sites[kept], small[kept]


def _placed(sites: Array, settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Turn and disorder sites around the envelope's centre, and cut the assembly out."""
    return _cut(_disordered(sites, settings, rng), settings, rng)


def _disordered(sites: Array, settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Displace each site at random and turn all of them around the envelope's centre."""
    spacing = neighbour_distance_nm(settings)
    sites = sites + rng.normal(0.0, settings.position_disorder * spacing, sites.shape)
    return np.asarray(Rotation.random(random_state=rng).apply(sites))


def _cut(sites: Array, settings: SpecimenSettings, rng: np.random.Generator) -> Array:
    """Return the sites inside the assembly, of planes that are bent, without the empty ones."""
    sites, kept = _bent_and_kept(sites, settings, rng)
    return sites[kept]


def _bent_and_kept(
    sites: Array, settings: SpecimenSettings, rng: np.random.Generator
) -> tuple[Array, Bools]:
    """Bend the planes of sites [n, 3]; return which of them are inside and not empty [n], too."""
    if settings.bend_deg > 0:
        curvature = np.deg2rad(settings.bend_deg) / settings.assembly_diameter_nm
        sites = bent(sites, curvature, Rotation.random(random_state=rng).as_matrix())
    kept = inside_assembly(sites, settings)
    if settings.vacancies > 0:
        kept[kept] = rng.random(int(kept.sum())) >= settings.vacancies
    return sites, kept


def bent(sites: Array, curvature: float, axes: Array) -> Array:
    """Return sites [n, 3] of a crystal in pure bending, in nm.

    Planes across the first of the axes [3, 3] turn by the curvature (rad/nm) times the way along
    it, towards the second one. Nothing is sheared or turned at the origin (Landau and Lifshitz,
    Theory of Elasticity, section 17, without contraction across).
    """
    along, across = sites @ axes[0], sites @ axes[1]
    moved = np.outer(along**2 / 2, axes[1]) - np.outer(along * across, axes[0])
    return np.asarray(sites + curvature * moved)
