"""Bodies that the particles form: one assembly, loose particles beside it, several assemblies.

Two particles are in contact if they lie about as far apart as nearest neighbours usually do, in nm
or in diameters. The usual distance comes from the particles themselves. Only where the particles
form a dense body do these contacts mean anything: particles that are scattered have no usual
distance, and all of them stay counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, identity
from scipy.sparse.csgraph import connected_components, laplacian, minimum_spanning_tree
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

from processing.series import Bools, Float64

CONTACT, APART = 1.4, 1.7
"""Distances, in usual distances of nearest neighbours: up to the first, particles are in contact;
beyond the second, they lie apart. In between, they may belong together or not. The second shell of
dense packings begins at 1.41; in simulated assemblies no particle is farther than 1.35 from all
others."""
TIGHT = 1.2
"""Largest distance of contacts that hold a particle in its place."""
MOST_HANGING, HANGING_SHARE = 5, 0.01
"""Most particles that may be loose ones if two contacts hold them, and their largest share.
Disordered assemblies have more of them at their surface."""
EVEN = 1.1
"""Largest distance of 90 % of the closest contacts in a dense body. Simulated assemblies of all
packings have 1.07 at most, scattered particles 1.16 at least."""
FEWEST = 10
"""Fewest particles that can be a body with loose particles beside it."""
SMALLEST_BODY = 6
"""Fewest particles of another body; fewer are loose particles."""
DOMINATING = 0.5
"""Smallest share of the particles in the body that is the assembly."""
MOST_LOOSE = 0.1
"""Largest share of particles out of contact. More may be a part of the specimen."""
NECK = 0.9
"""Largest number of contacts of two bodies that may be separate assemblies, over the two-thirds
power of the particles in the smaller one. Simulated assemblies have 1.0 at least."""
NARROW = 0.35
"""Largest number of contacts at the neck, over those of the widest cut on either side of it."""
MODES = 6
"""Number of eigenvectors along which a neck is searched: one is not enough for a small assembly
that touches a large one."""
LANCZOS_VECTORS = 30
"""Vectors that the search for eigenvectors keeps."""
DENSE_MATRIX = 400
"""Number of particles up to which all eigenvectors are calculated."""


@dataclass(frozen=True, eq=False)
class Bodies:
    """Bodies that some particles form.

    Attributes
    ----------
    loose
        Particles that lie apart from the assembly, [n].
    near
        Number of particles that lie close to the assembly, but not in contact with it.
    hanging
        Number of particles that hang on the assembly by one contact, or by two if these are few:
        they may be loose ones.
    apart
        Number of particles in other bodies than the assembly, or that are too many to be loose.
    parts
        Number of particles on either side of a neck of the assembly, the larger first.
    """

    loose: Bools
    near: int = 0
    hanging: int = 0
    apart: int = 0
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class _Contacts:
    """Pairs [pair, 2] up to `APART`, and their distance in usual ones, [pair]."""

    pairs: NDArray[np.intp]
    distance: Float64
    particles: int

    def graph(self, largest: float) -> csr_matrix:
        """Return the symmetric matrix of the distances up to a limit."""
        kept = self.distance <= largest
        one, other = self.pairs[kept].T
        shape = (self.particles, self.particles)
        half = coo_matrix((self.distance[kept], (one, other)), shape=shape)
        return (half + half.T).tocsr()

    def among(self, chosen: Bools) -> _Contacts:
        """Return the contacts of some particles among each other."""
        kept = chosen[self.pairs].all(axis=1)
        number = np.cumsum(chosen) - 1
        return _Contacts(number[self.pairs[kept]], self.distance[kept], int(chosen.sum()))


def find_bodies(centres_nm: Float64, sizes_nm: Float64) -> Bodies:
    """Find the assembly among particles, what lies apart from it, and its necks.

    Parameters
    ----------
    sizes_nm
        [n], diameter of each particle.
    """
    number = len(centres_nm)
    everything = Bodies(np.zeros(number, bool))
    if number < FEWEST:
        return everything
    contacts = _contacts(centres_nm, sizes_nm)
    _, groups = connected_components(contacts.graph(CONTACT), directed=False)
    sizes = np.bincount(groups)
    body = int(np.argmax(sizes))
    core = groups == body
    if core.sum() < max(FEWEST, DOMINATING * number) or not _is_dense(contacts.among(core)):
        return everything
    _, wide = connected_components(contacts.graph(APART), directed=False)
    around = wide == wide[core][0]
    scattered = np.bincount(wide)[wide] < SMALLEST_BODY
    small = sizes[groups] < SMALLEST_BODY
    loose = ~around & scattered
    within = contacts.among(core)
    near = around & ~core & small
    if (loose | near).sum() > MOST_LOOSE * number:
        loose = near = everything.loose
    return Bodies(
        loose=loose,
        near=int(near.sum()),
        hanging=_hanging(within),
        apart=int((~core & ~loose & ~near).sum()),
        parts=_parts(within),
    )


def _contacts(centres_nm: Float64, sizes_nm: Float64) -> _Contacts:
    """Return all pairs up to `APART`; a distance counts in nm or in diameters, as it is smaller."""
    tree = cKDTree(centres_nm)
    nearest_nm, neighbour = (found[:, 1] for found in tree.query(centres_nm, k=2))
    usual_nm = float(np.median(nearest_nm))
    means_nm = (sizes_nm + sizes_nm[neighbour]) / 2
    usual = float(np.median(nearest_nm / means_nm))
    reach_nm = APART * max(usual_nm, usual * float(sizes_nm.max()))
    pairs = tree.query_pairs(reach_nm, output_type="ndarray")
    one, other = pairs.T
    distance_nm = np.linalg.norm(centres_nm[one] - centres_nm[other], axis=1)
    in_diameters = 2 * distance_nm / (sizes_nm[one] + sizes_nm[other])
    distance = np.minimum(distance_nm / usual_nm, in_diameters / usual)
    kept = distance <= APART
    return _Contacts(pairs[kept], distance[kept], len(centres_nm))


def _hanging(contacts: _Contacts) -> int:
    tight = contacts.pairs[contacts.distance <= TIGHT]
    holding = np.bincount(tight.ravel(), minlength=contacts.particles)
    by_two, by_one = (int((holding <= most).sum()) for most in (2, 1))
    return by_two if by_two <= min(MOST_HANGING, HANGING_SHARE * contacts.particles) else by_one


def _is_dense(contacts: _Contacts) -> bool:
    """Return true if the closest contacts that join all particles are about equally long."""
    closest = minimum_spanning_tree(contacts.graph(CONTACT)).data
    return bool(np.quantile(closest, 0.9) <= EVEN)


def _parts(contacts: _Contacts) -> tuple[int, ...]:
    """Return the sizes of two parts that a neck of few contacts joins; nothing without a neck.

    The particles are sorted along the eigenvectors of the graph's Laplacian that vary least along
    contacts: they change fastest at a neck (Fiedler 1973). Each place in this order is a cut.
    """
    number = contacts.particles
    if number < 2 * SMALLEST_BODY:
        return ()
    links = (contacts.graph(CONTACT) > 0).astype(np.float64)
    pairs = contacts.pairs[contacts.distance <= CONTACT]
    cuts = [_narrowest(mode, pairs) for mode in _slow_modes(links).T]
    necks = [(cut.relative, cut.smaller) for cut in cuts if cut.is_neck]
    if not necks:
        return ()
    smaller = min(necks)[1]
    return number - smaller, smaller


@dataclass(frozen=True)
class _Cut:
    """Cut through a body: its contacts, the particles of the smaller part, and the widest cuts."""

    contacts: int
    smaller: int
    widest: int
    """Contacts of the widest cut through either part, the smaller of both numbers."""

    @property
    def relative(self) -> float:
        """Contacts over the two-thirds power of the particles in the smaller part."""
        return float(self.contacts / self.smaller ** (2 / 3))

    @property
    def is_neck(self) -> bool:
        return self.relative <= NECK and self.contacts <= NARROW * self.widest


def _narrowest(mode: Float64, pairs: NDArray[np.intp]) -> _Cut:
    """Return the cut with the fewest contacts for its size along an eigenvector [n]."""
    number = len(mode)
    rank = np.empty(number, np.intp)
    rank[np.argsort(mode, kind="stable")] = np.arange(number)
    first, last = np.sort(rank[pairs], axis=1).T
    steps = np.bincount(first, minlength=number) - np.bincount(last, minlength=number)
    contacts = np.cumsum(steps)[:-1]
    left = np.arange(1, number)
    smaller = np.minimum(left, number - left)
    possible = np.flatnonzero(smaller >= SMALLEST_BODY)
    at = possible[np.argmin(contacts[possible] / smaller[possible] ** (2 / 3))]
    widest = min(contacts[: at + 1].max(), contacts[at:].max())
    return _Cut(int(contacts[at]), int(smaller[at]), int(widest))


def _slow_modes(links: csr_matrix) -> Float64:
    """Return the lowest eigenvectors [n, mode] of a connected graph's normalised Laplacian."""
    degree = np.asarray(links.sum(axis=1)).ravel()
    normalised = laplacian(links, normed=True)
    if len(degree) <= DENSE_MATRIX:
        vectors = np.linalg.eigh(normalised.toarray())[1]
    else:
        # the largest of 2 - L, which need no factors of the matrix; no eigenvalue of L exceeds 2
        start = np.random.default_rng(0).normal(size=len(degree))
        turned = 2 * identity(len(degree), format="csr") - normalised
        values, vectors = eigsh(turned, k=MODES + 1, which="LA", ncv=LANCZOS_VECTORS, v0=start)
        vectors = vectors[:, np.argsort(-values)]
    # the first one is the same everywhere
    return np.asarray(vectors[:, 1 : MODES + 1] / np.sqrt(degree)[:, None], np.float64)
