"""Distance of places from the sites of the lattice that the particles of a crystal share.

In a thick crystal seen in one series, a part of the exit side can settle beside its sites as a
whole. Distances inside such a part are right; only the lattice, continued from the rest of the
crystal, shows that its places are wrong. Sites beyond stacking faults and twin planes are known
(`processing.count.stacked_lattice`). Another grain has a lattice of its own; even bonds in other
directions tell it from such a part.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.count.known_sites import KnownSites
from processing.count.stacked_lattice import ON_SITE, StackedLattice
from processing.series import Bools, Float64

CONTACT = 1.2
"""Longest bond of neighbours, in usual distances of neighbours."""
ALONG = 0.15
"""Largest angle between bonds of one direction (rad)."""
BONDS_TRIED = 300
"""Number of bonds of which the most usual directions are chosen."""
NEAR_60_DEG = (0.38, 0.62)
"""Cosine of the angle between two of the three bonds that span a close-packed lattice."""
GROWTH = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, np.inf)
"""Radii around a particle in which the lattice is fitted one after another, in bonds."""
ROUNDS = 10
"""Fits to all particles: they reach the other side of the crystal step by step."""
FEWEST = 60
"""Fewest particles that show a lattice."""
ONE_CRYSTAL = 0.5
"""Share of the particles of the entrance side on sites, below which they are no single crystal."""
OTHER_GRAINS = 0.05
"""Share of the particles of the entrance side in other grains, above which there are several.

Of 45 simulated series of single crystals, with stacking faults or without, the largest is 0.02; of
three of several grains the smallest is 0.12."""
AROUND = 12
"""Number of particles around a place whose bonds are compared with those of the lattice."""
SAME_BOND = 0.3
"""Largest distance between a bond and that of the lattice, in bonds."""
SAME_CRYSTAL = 0.62
"""Smallest share of bonds along those of the lattice around a place of the same crystal; most wrong
places have more."""
SAME_SITES = 0.67
"""Smallest share of particles on sites around a place of the same crystal, as beyond a twin plane,
where bonds have other directions. In another grain a tenth is on sites by chance."""
EVEN = 2.0
"""Largest scatter of the distances of neighbours in another grain, in usual scatters on the sites.
Wrong places have more. Of the twelve deviations of right places, the root mean square differs by a
fifth."""


def sites_of_crystal(
    places_nm: Float64, sharpness: Float64, scatter: Float64, particle: Bools, entrance: Bools
) -> KnownSites | None:
    """Return the sites of the lattice that the particles share, and how far places are from them.

    None if the particles of the entrance side are no single close-packed crystal. Places in a small
    grain of another orientation do not belong to the lattice.

    Parameters
    ----------
    places_nm
        [n, 3], centres (x, y, z) of the spheres of a fit to one series.
    sharpness
        [n], gradient energy of the sphere's images: how much they show of its place.
    scatter
        [n], scatter of the distances to nearest neighbours around the place (`local_scatter`).
    particle
        [n], true for spheres that are particles; the lattice is fitted to them.
    entrance
        [n], true for spheres in the half that the beam enters, where places are certain.
    """
    first = particle & entrance
    if first.sum() < FEWEST:
        return None
    entrance_nm = places_nm[first]
    bond_nm = float(np.median(cKDTree(entrance_nm).query(entrance_nm, k=2)[0][:, 1]))
    start = usual_bonds(entrance_nm, bond_nm)
    if start is None:
        return None
    from_middle_nm = np.linalg.norm(entrance_nm - entrance_nm.mean(axis=0), axis=1)
    origin_nm = entrance_nm[from_middle_nm.argmin()]
    from_origin_nm = np.linalg.norm(entrance_nm - origin_nm, axis=1)
    lattice = StackedLattice(start, origin_nm)
    for radius in GROWTH:
        near = from_origin_nm <= radius * bond_nm
        lattice = lattice.fitted(entrance_nm[near], sharpness[first][near])
    if (lattice.distance(entrance_nm) < ON_SITE).mean() < ONE_CRYSTAL:
        return None
    centres_nm = places_nm[particle]
    for _ in range(ROUNDS):
        lattice = lattice.fitted(centres_nm, sharpness[particle])
    off_site = lattice.distance(places_nm)
    usual = np.median(scatter[particle & (off_site < ON_SITE)])
    other = share_of_bonds(lattice.vectors_nm, places_nm, centres_nm) < SAME_CRYSTAL
    on_site = lattice.distance(centres_nm) < ON_SITE
    around = cKDTree(centres_nm).query(places_nm, k=range(1, min(AROUND, len(centres_nm)) + 1))[1]
    other &= on_site[around].mean(axis=1) < SAME_SITES
    other &= scatter <= EVEN * usual
    if other[first].mean() > OTHER_GRAINS:
        return None
    own = np.zeros(len(places_nm), np.intp)
    return KnownSites((lattice,), own, np.where(other, np.nan, off_site), in_grains=False)


def share_of_bonds(vectors: Float64, places_nm: Float64, centres_nm: Float64) -> Float64:
    """Return the share [n] of the bonds around places that are those of a lattice [3, 3]."""
    bonds, off = _bonds_off(vectors, centres_nm)
    return _mean_around(places_nm, centres_nm, bonds, off < SAME_BOND)


def turn_of_bonds(vectors: Float64, places_nm: Float64, centres_nm: Float64) -> Float64:
    """Return the mean distance [n] of the bonds around places from those of a lattice [3, 3].

    In bonds; `SAME_BOND` at most for each.
    """
    bonds, off = _bonds_off(vectors, centres_nm)
    return _mean_around(places_nm, centres_nm, bonds, np.minimum(off, SAME_BOND))


def _bonds_off(vectors: Float64, centres_nm: Float64) -> tuple[NDArray[np.intp], Float64]:
    """Return the ends [bonds, 2] of all bonds, and their distances [bonds] from the lattice's."""
    bond_nm = float(np.linalg.norm(vectors, axis=1).mean())
    bonds = cKDTree(centres_nm).query_pairs(CONTACT * bond_nm, output_type="ndarray")
    one, other = bonds.T
    off_nm = cKDTree(contacts(vectors)).query(centres_nm[other] - centres_nm[one])[0]
    return bonds, off_nm / bond_nm


def _mean_around(
    places_nm: Float64, centres_nm: Float64, bonds: NDArray[np.intp], value: Float64 | Bools
) -> Float64:
    """Return the mean [n] of a value [bonds] over the bonds of the particles nearest to places."""
    number = np.bincount(bonds.ravel(), minlength=len(centres_nm))
    total = np.bincount(bonds.ravel(), np.repeat(value, 2), minlength=len(centres_nm))
    around = range(1, min(AROUND, len(centres_nm)) + 1)
    nearest = cKDTree(centres_nm).query(places_nm, k=around)[1]
    found = total[nearest].sum(axis=1) / np.maximum(number[nearest].sum(axis=1), 1)
    return np.asarray(found, np.float64)


def contacts(vectors: Float64) -> Float64:
    """Return the bonds [12, 3] of each particle in a close-packed lattice [3, 3]."""
    bond_nm = float(np.linalg.norm(vectors, axis=1).mean())
    steps = np.array([step for step in product((-1, 0, 1), repeat=3) if any(step)]) @ vectors
    return np.asarray(steps[np.linalg.norm(steps, axis=1) < CONTACT * bond_nm], np.float64)


def usual_bonds(centres_nm: Float64, bond_nm: float) -> Float64 | None:
    """Return three usual bonds [3, 3] of particles [n, 3], 60 degrees apart; None without them."""
    one, other = cKDTree(centres_nm).query_pairs(CONTACT * bond_nm, output_type="ndarray").T
    bonds = centres_nm[other] - centres_nm[one]
    bonds = np.vstack([bonds, -bonds])
    length = np.linalg.norm(bonds, axis=1)
    bonds, length = bonds[length > bond_nm / CONTACT], length[length > bond_nm / CONTACT]
    tree = cKDTree(bonds / length[:, None])
    tried = np.arange(0, len(bonds), max(1, len(bonds) // BONDS_TRIED))
    alike = tree.query_ball_point(tree.data[tried], ALONG)
    chosen: list[Float64] = []
    for number in np.argsort([-len(each) for each in alike], kind="stable"):
        bond = np.median(bonds[alike[number]], axis=0)
        if all(_is_near_60_deg(bond, known) for known in chosen):
            chosen.append(bond)
        if len(chosen) == 3 and np.prod(_cosines(np.array(chosen))[[0, 0, 1], [1, 2, 2]]) < 0:
            chosen.pop()  # the three are nearly in one plane
        if len(chosen) == 3:
            cosines = _cosines(np.array(chosen))
            return np.array(chosen) * np.sign(cosines[:1]).T
    return None


def _is_near_60_deg(one: Float64, other: Float64) -> bool:
    cosine = abs(_cosines(np.array([one, other]))[0, 1])
    return bool(NEAR_60_DEG[0] < cosine < NEAR_60_DEG[1])


def _cosines(vectors: Float64) -> Float64:
    """Return the cosines [n, n] between vectors [n, 3]."""
    directions = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    return np.asarray(directions @ directions.T, np.float64)
