"""Grains: connected particles of one structure and one orientation.

A stacking fault inside a grain belongs to it: two parts of the same orientation on both sides of a
fault are one grain. A twin plane has different orientations on both sides: it separates two grains
and belongs to neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from processing.series import Bools, Float64
from processing.structure.classify import BCC, CODES, DISORDERED, FCC, HCP
from processing.structure.lattice import LatticeFit, fit_lattice
from processing.structure.orientations import (
    Pairs,
    mean_orientation,
    misorientation,
    smoothed,
)
from processing.structure.shells import Shell, shells

SAME_GRAIN_DEG = 5.0
"""Largest misorientation of neighbours in the same grain."""
FEWEST_PARTICLES = 20
"""Smallest number of particles in a grain."""
MOST_IN_LAYER = 6
"""Largest number of neighbours in a single close-packed layer."""
FEWEST_CONTACTS = 5
"""Smallest number of contacts of two grains that touch."""
LAYERS_IN_FAULT = 3
"""Layers of an extrinsic stacking fault, with the one of fcc in its middle."""
BULK_HCP_NEIGHBOURS = 10
"""hcp neighbours of a particle inside hcp; one in a fault of one or two layers has 6 or 9."""
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Grains:
    """Grains of an assembly, the largest first.

    Attributes
    ----------
    number
        [n], number of each particle's grain from 1; 0 in no grain.
    structure
        Structure of each grain, as in `CODES`.
    fits
        Lattice of each grain.
    """

    number: Ints
    structure: list[int]
    fits: list[LatticeFit]

    def members(self) -> list[Ints]:
        """Return the particles of each grain."""
        return [np.flatnonzero(self.number == at + 1) for at in range(len(self.fits))]


def find_grains(
    centres_nm: Float64, pairs: Pairs, structure: Ints, rotation: Float64, spacing_nm: float
) -> Grains:
    """Find the grains of particles [n] with known structures and shell orientations [n, 3, 3].

    Grains whose bonds do not determine a lattice, such as a single layer, are left out.
    """
    labels, phases = _connected(pairs, structure, rotation)
    labels, phases = _without_small(labels, phases, pairs)
    labels = _merged(labels, phases, pairs, structure, rotation)
    labels, phases = _without_small(labels, phases, pairs)
    means = [
        mean_orientation(rotation[(labels == at) & (structure == phase)], phase)
        for at, phase in enumerate(phases)
    ]
    fits = [
        _fit(centres_nm, pairs, labels == at, phase, mean, spacing_nm)
        for at, (phase, mean) in enumerate(zip(phases, means, strict=True))
    ]
    known = [at for at, fit in enumerate(fits) if fit is not None]
    new = np.full(len(fits) + 1, -1)
    new[known] = np.arange(len(known))
    labels = _with_faults(new[labels], pairs, structure)
    return Grains(
        labels + 1, [phases[at] for at in known], [fit for fit in fits if fit is not None]
    )


def _connected(pairs: Pairs, structure: Ints, rotation: Float64) -> tuple[Ints, list[int]]:
    """Label the connected particles of like orientation, from 0; -1 for the others."""
    labels = np.full(len(structure), -1)
    phases: list[int] = []
    for phase in (FCC, HCP, BCC):
        members = structure == phase
        if phase == HCP:
            members = _bulk_hcp(pairs, members)
        found = _components(members, pairs, rotation, phase)
        numbers = np.unique(found[members])
        labels[members] = np.searchsorted(numbers, found[members]) + len(phases)
        phases += [phase] * len(numbers)
    return labels, phases


def _bulk_hcp(pairs: Pairs, hcp: Bools) -> Bools:
    """Return the hcp particles in and next to the inside of hcp crystals: not those of faults."""
    both = pairs[hcp[pairs].all(axis=1)]
    inside = np.bincount(both[:, 0], minlength=len(hcp)) >= BULK_HCP_NEIGHBOURS
    beside = np.zeros(len(hcp), bool)
    beside[both[inside[both[:, 0]], 1]] = True
    return inside | (hcp & beside)


def _components(members: Bools, pairs: Pairs, rotation: Float64, phase: int) -> Ints:
    inner = pairs[members[pairs].all(axis=1)]
    even = smoothed(rotation, inner, phase)
    angle, _ = misorientation(even[inner[:, 0]], even[inner[:, 1]], phase)
    return components(len(members), inner[angle < SAME_GRAIN_DEG])


def components(number: int, pairs: Pairs) -> Ints:
    """Label the connected components of a graph with `number` nodes."""
    graph = sparse.coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (number,) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _without_small(labels: Ints, phases: list[int], pairs: Pairs) -> tuple[Ints, list[int]]:
    """Drop labels of few particles or of one layer; number the others, the largest first."""
    sizes = np.bincount(labels[labels >= 0], minlength=len(phases))
    own = pairs[(labels[pairs[:, 0]] == labels[pairs[:, 1]]) & (labels[pairs[:, 0]] >= 0)]
    bonds = np.bincount(own[:, 0], minlength=len(labels))
    most = np.zeros(len(phases), np.int64)
    np.maximum.at(most, labels[labels >= 0], bonds[labels >= 0])
    solid = (sizes >= FEWEST_PARTICLES) & (most > MOST_IN_LAYER)
    kept = [int(at) for at in np.argsort(-sizes, kind="stable") if solid[at]]
    new = np.full(len(phases) + 1, -1)  # the last one belongs to label -1
    new[kept] = np.arange(len(kept))
    return new[labels], [phases[at] for at in kept]


def _merged(
    labels: Ints, phases: list[int], pairs: Pairs, structure: Ints, rotation: Float64
) -> Ints:
    """Join grains of the same orientation that touch, or that lie on both sides of a fault."""
    if not phases:
        return labels
    means = np.array(
        [mean_orientation(rotation[labels == at], phase) for at, phase in enumerate(phases)]
    )
    touching = [
        pair
        for pair in touching_grains(labels, pairs, structure, LAYERS_IN_FAULT)
        if phases[pair[0]] == phases[pair[1]]
        and misorientation(means[[pair[0]]], means[[pair[1]]], phases[pair[0]])[0][0]
        < SAME_GRAIN_DEG
    ]
    if not touching:
        return labels
    joined = components(len(phases), np.array(touching))
    first = np.array([int(np.flatnonzero(joined == one)[0]) for one in joined])
    return np.where(labels >= 0, first[labels], -1)


def touching_grains(
    labels: Ints, pairs: Pairs, structure: Ints, layers: int = 2
) -> dict[tuple[int, int], int]:
    """Count the contacts of each two labels: particles that have neighbours of both.

    Between two labels there may be up to three `layers` that belong to no grain.
    """
    number = len(labels)
    inside = labels >= 0
    outside = ~inside & np.isin(structure, (FCC, HCP, DISORDERED))
    reached = pairs[inside[pairs[:, 1]]]
    beside = sparse.csr_array(
        (np.ones(len(reached), np.int64), (reached[:, 0], labels[reached[:, 1]])),
        (number, int(labels.max(initial=-1)) + 1),
    ).minimum(1)
    own = sparse.csr_array(
        (np.ones(int(inside.sum()), np.int64), (np.flatnonzero(inside), labels[inside])),
        beside.shape,
    )
    between = pairs[outside[pairs].all(axis=1)]
    bonds = sparse.csr_array(
        (np.ones(len(between), np.int64), (between[:, 0], between[:, 1])), (number, number)
    )
    fault = beside.multiply(outside[:, None]).tocsr()
    direct = own.T @ beside
    through = fault
    for _ in range(layers - 1):
        through = (through + bonds @ through).minimum(1)
    total = (direct + direct.T + fault.T @ through).toarray()
    first, second = np.nonzero(np.triu(total, 1) >= FEWEST_CONTACTS)
    return {(int(a), int(b)): int(total[a, b]) for a, b in zip(first, second, strict=True)}


def _with_faults(labels: Ints, pairs: Pairs, structure: Ints) -> Ints:
    """Add hcp particles that have neighbours in one grain alone: those of faults inside it."""
    open_ends = (structure[pairs[:, 0]] == HCP) & (labels[pairs[:, 0]] < 0)
    here, there = pairs[open_ends & (labels[pairs[:, 1]] >= 0)].T
    lowest = np.full(len(labels), np.iinfo(np.int64).max)
    highest = np.full(len(labels), -1)
    np.minimum.at(lowest, here, labels[there])
    np.maximum.at(highest, here, labels[there])
    return np.where(lowest == highest, highest, labels)


def _fit(
    centres_nm: Float64,
    pairs: Pairs,
    members: Bools,
    phase: int,
    rotation: Float64,
    spacing_nm: float,
) -> LatticeFit | None:
    inner = pairs[members[pairs].all(axis=1)]
    return fit_lattice(centres_nm, inner, shell_of(phase).vertices, rotation, spacing_nm)


def shell_of(structure: int) -> Shell:
    """Return the shell of a lattice with the number `structure` in `CODES`."""
    return next(shell for shell in shells() if shell.structure is CODES[structure])
