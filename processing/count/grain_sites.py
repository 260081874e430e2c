"""Distance of places from the sites of the lattices of several grains.

In an assembly of several grains a part of the exit side can settle beside its sites as a whole, as
in a single crystal (`processing.count.lattice_sites`). Each grain has a lattice of its own. Most
grains reach the half that the beam enters, where places are certain; their lattices, continued to
the exit side, show which places there are wrong. A grain that lies wholly on the exit side is known
by its other orientation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from processing.count.known_sites import KnownSites
from processing.count.lattice_sites import (
    AROUND,
    CONTACT,
    FEWEST,
    GROWTH,
    ONE_CRYSTAL,
    ROUNDS,
    SAME_BOND,
    SAME_CRYSTAL,
    contacts,
    share_of_bonds,
    turn_of_bonds,
    usual_bonds,
)
from processing.count.stacked_lattice import ON_SITE, StackedLattice
from processing.series import Bools, Float64

ORDERED = 0.5
"""Smallest order (`_order`) of a place from which a grain is grown. In fcc it is 1, beside a twin
plane 0.8, in simulated disordered assemblies 0.1 to 0.2."""
SEED = 3.5
"""Radius around this place whose bonds span the lattice, in bonds."""
PARALLEL = 0.15
"""Largest distance between the bonds of two parallel lattices, in bonds: 9 degrees. A part of a
grain that has settled beside its sites is parallel to it."""
HELD = 0.75
"""Smallest share of the particles of the entrance side on sites of grains."""


def sites_of_grains(
    places_nm: Float64, sharpness: Float64, particle: Bools, entrance: Bools
) -> KnownSites | None:
    """Return the sites of the lattices of grains, and how far places are from those of their grain.

    The grain is that whose lattice has most of the bonds around the place; where none has enough,
    as at the border of two grains, that with the nearest site. None if the particles of the
    entrance side do not lie in close-packed grains.

    Parameters
    ----------
    places_nm
        [n, 3], centres (x, y, z) of the spheres of a fit to one series.
    sharpness
        [n], gradient energy of the sphere's images: how much they show of its place.
    particle
        [n], true for spheres that are particles; the lattices are fitted to them.
    entrance
        [n], true for spheres in the half that the beam enters.
    """
    centres_nm, weights, first = places_nm[particle], sharpness[particle], entrance[particle]
    lattices = [
        _continued(each, centres_nm, weights)
        for each in _grains(centres_nm[first], weights[first], [])
    ]
    held = _nearest(lattices, centres_nm) < ON_SITE
    if not lattices or held[first].mean() < HELD:
        return None
    lattices += [
        _continued(each, centres_nm, weights)
        for each in _grains(centres_nm[~held], weights[~held], lattices)
    ]
    vectors = [each.vectors_nm for each in lattices]
    turns = np.stack([turn_of_bonds(each, places_nm, centres_nm) for each in vectors])
    shares = np.stack([share_of_bonds(each, places_nm, centres_nm) for each in vectors])
    distances = np.stack([each.distance(places_nm) for each in lattices])
    alike = shares.max(axis=0) >= SAME_CRYSTAL
    own = np.where(alike, turns.argmin(axis=0), distances.argmin(axis=0))
    off_site = np.take_along_axis(distances, own[None], axis=0)[0]
    return KnownSites(tuple(lattices), own, off_site, in_grains=True)


def _grains(
    centres_nm: Float64, weights: Float64, known: Sequence[StackedLattice]
) -> list[StackedLattice]:
    """Return the lattices of grains of particles [n, 3] that are not parallel to known ones.

    A grain is grown from the most ordered place, then the next one among the rest.
    """
    found: list[StackedLattice] = []
    if len(centres_nm) < FEWEST:
        return found
    bond_nm = float(np.median(cKDTree(centres_nm).query(centres_nm, k=2)[0][:, 1]))
    order = _order(centres_nm, bond_nm)
    left = np.ones(len(order), bool)
    while (order * left).max() >= ORDERED:
        seed = int((order * left).argmax())
        near = left & (np.linalg.norm(centres_nm - centres_nm[seed], axis=1) < SEED * bond_nm)
        left &= ~near
        lattice = _grown(centres_nm, weights, seed, near)
        if lattice is None:
            continue
        on_site = lattice.distance(centres_nm) < ON_SITE
        if on_site[near].mean() < ONE_CRYSTAL:
            continue
        left &= ~(on_site & _belongs(lattice, centres_nm))
        if not any(_parallel(lattice, other) for other in [*known, *found]):
            found.append(lattice)
    return found


def _grown(centres_nm: Float64, weights: Float64, seed: int, near: Bools) -> StackedLattice | None:
    """Return the lattice around a particle, fitted step by step; None if few particles show it."""
    if near.sum() < FEWEST:
        return None
    from_seed_nm = np.linalg.norm(centres_nm - centres_nm[seed], axis=1)
    bond_nm = float(np.median(cKDTree(centres_nm[near]).query(centres_nm[near], k=2)[0][:, 1]))
    start = usual_bonds(centres_nm[near], bond_nm)
    if start is None:
        return None
    lattice = StackedLattice(start, centres_nm[seed])
    belongs = _belongs(lattice, centres_nm)
    belongs[seed] = True
    for radius in GROWTH:
        within = belongs & (from_seed_nm <= radius * bond_nm)
        lattice = lattice.fitted(centres_nm[within], weights[within])
    return lattice


def _continued(lattice: StackedLattice, centres_nm: Float64, weights: Float64) -> StackedLattice:
    """Return a lattice fitted to all particles [n, 3] of its grain, on both sides."""
    belongs = _belongs(lattice, centres_nm)
    for _ in range(ROUNDS):
        lattice = lattice.fitted(centres_nm[belongs], weights[belongs])
    return lattice


def _belongs(lattice: StackedLattice, centres_nm: Float64) -> Bools:
    """Return whether the bonds around particles [n, 3] are those of a lattice."""
    return share_of_bonds(lattice.vectors_nm, centres_nm, centres_nm) >= SAME_CRYSTAL


def _nearest(lattices: Sequence[StackedLattice], places_nm: Float64) -> Float64:
    """Return the distance [n] from the nearest site of any lattice, in bonds."""
    distances = [each.distance(places_nm) for each in lattices]
    nearest = np.min([np.full(len(places_nm), np.inf), *distances], axis=0)
    return np.asarray(nearest, np.float64)


def _parallel(one: StackedLattice, other: StackedLattice) -> bool:
    """Return whether two lattices have bonds in the same directions."""
    apart_nm = cKDTree(contacts(other.vectors_nm)).query(contacts(one.vectors_nm))[0]
    return bool(apart_nm.max() < PARALLEL * one.bond_nm)


def _order(centres_nm: Float64, bond_nm: float) -> Float64:
    """Return the order [n] around particles: the share of bonds that go on straight behind them.

    In a close packing each bond of a particle has one in the opposite direction. The share is the
    mean of the particle and of those around it.
    """
    away_nm, number = cKDTree(centres_nm).query(centres_nm, k=AROUND + 1)
    bonds = centres_nm[number[:, 1:]] - centres_nm[:, None]
    contact = away_nm[:, 1:] < CONTACT * bond_nm
    straight = np.zeros(len(centres_nm))
    for each in range(AROUND):
        turned_nm = np.linalg.norm(bonds + bonds[:, [each]], axis=2)
        goes_on = (turned_nm < SAME_BOND * bond_nm) & contact
        straight += goes_on.any(axis=1) & contact[:, each]
    share = straight / np.maximum(contact.sum(axis=1), 1)
    return np.asarray(share[number].mean(axis=1), np.float64)
