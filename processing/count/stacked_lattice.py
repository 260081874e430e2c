"""Close-packed lattice of a crystal whose planes may be stacked wrongly.

An fcc crystal has close-packed planes in the order ABCABC. A plane in another position is a
stacking fault: what lies beyond it is a twin, or the same lattice displaced along the plane. Either
way each plane is in one of three positions, A, B or C, so the sites of the whole crystal are known
from one lattice and the position of each plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from processing.series import Bools, Float64

ON_SITE = 0.25
"""Largest distance from a site, in bonds, of a particle that belongs to it."""
FAMILIES = (
    ((0, 0, 1), (1 / 3, 1 / 3, 0)),
    ((0, 1, 0), (1 / 3, 0, 1 / 3)),
    ((1, 0, 0), (0, 1 / 3, 1 / 3)),
    ((1, 1, 1), (2 / 3, -1 / 3, -1 / 3)),
)
"""The four orientations of close-packed planes: their Miller indices, and the shift along the plane
from one position to the next (1/6 <112>), both for three bonds that are 60 degrees apart."""
IDEAL = np.asarray(np.linalg.cholesky((1 + np.eye(3)) / 2), np.float64)
"""Three bonds of length 1 that are 60 degrees apart (rows)."""
IN_POSITION = 0.12
"""Largest distance from a site, in bonds, of a particle that shows the position of its plane.

Places that are wrong because the exit side is strained lie at any distance."""
FAULT_WEIGHT = 0.1
"""Weight of the particles, in that of a mean plane, that must show a fault."""
REGULAR, REVERSED = 0, 1
"""Order of the planes: ABC as in the lattice, and CBA as in its twin. Also the number of shifts
from one plane to the next, beyond the one in the lattice."""


@dataclass(frozen=True, eq=False)
class StackedLattice:
    """Sites of a crystal.

    Attributes
    ----------
    vectors_nm
        [3, 3], three bonds (rows), 60 degrees apart.
    origin_nm
        [3], one site.
    family
        Number of the orientation of the planes in `FAMILIES`.
    first_plane
        Index of the plane to which the first position belongs.
    positions
        [planes], position of each plane: shifts from its place in the lattice, 0 to 2.
    """

    vectors_nm: Float64
    origin_nm: Float64
    family: int = 0
    first_plane: int = 0
    positions: NDArray[np.intp] = field(default_factory=lambda: np.zeros(1, np.intp))

    @property
    def bond_nm(self) -> float:
        """Length of a bond."""
        return float(np.linalg.norm(self.vectors_nm, axis=1).mean())

    def distance(self, places_nm: Float64) -> Float64:
        """Return the distance [n] of places [n, 3] from the nearest site, in bonds."""
        along = self._along(places_nm)
        return self._distance(along, self._sites(along))

    def sites_between(self, low_nm: Float64, high_nm: Float64) -> Float64:
        """Return all sites [m, 3] in a box between two corners [3]."""
        corners = np.array(list(product(*np.transpose([low_nm, high_nm]))))
        along = self._along(corners)
        # planes may be shifted by more than one vector
        ends = zip(np.floor(along.min(axis=0)) - 2, along.max(axis=0) + 2, strict=True)
        axes = (np.arange(first, last) for first, last in ends)
        whole = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        places_nm = (whole + self._shifts(whole)) @ self.vectors_nm + self.origin_nm
        inside = (places_nm >= low_nm) & (places_nm <= high_nm)
        return np.asarray(places_nm[inside.all(axis=1)], np.float64)

    def fitted(self, places_nm: Float64, weights: Float64) -> StackedLattice:
        """Return the lattice fitted to particles [n, 3] on its sites, each with a weight [n].

        Its bonds stay equal and 60 degrees apart. A lattice that may be sheared would follow a part
        that is sheared because its places are wrong. Too few particles leave the lattice as it is.
        """
        if len(places_nm) <= len(IDEAL):
            return self
        stacked = self._stacked(places_nm, weights)
        along = stacked._along(places_nm)
        sites = stacked._sites(along)
        on_site = (stacked._distance(along, sites) < ON_SITE) & (weights > 0)
        sites, places_nm, weight = sites[on_site], places_nm[on_site], weights[on_site]
        if len(np.unique(np.round(sites), axis=0)) <= len(IDEAL):
            return self
        weight = weight / weight.sum()
        sites = sites @ IDEAL
        middle, middle_nm = weight @ sites, weight @ places_nm
        sites, places_nm = sites - middle, places_nm - middle_nm
        turn, stretch, back = np.linalg.svd((weight[:, None] * sites).T @ places_nm)
        matrix = stretch.sum() / (weight @ np.square(sites).sum(axis=1)) * (turn @ back)
        return replace(stacked, vectors_nm=IDEAL @ matrix, origin_nm=middle_nm - middle @ matrix)

    def _stacked(self, places_nm: Float64, weights: Float64) -> StackedLattice:
        """Return the lattice whose planes are where most particles are, by weight."""
        along = self._along(places_nm)
        best, most = self, -1.0
        for family, (indices, _) in enumerate(FAMILIES):
            plane = np.round(along @ indices).astype(np.intp)
            first = int(plane.min())
            shown = [weights * self._in_position(family, shift, along) for shift in range(3)]
            held = np.array([np.bincount(plane - first, each) for each in shown], np.float64).T
            positions, score = likely_positions(held, FAULT_WEIGHT * weights.sum() / len(held))
            if score > most:
                best, most = (
                    replace(self, family=family, first_plane=first, positions=positions),
                    score,
                )
        return best

    def _in_position(self, family: int, shift: int, along: Float64) -> Bools:
        moved = shift * np.array(FAMILIES[family][1])
        return self._distance(along, np.round(along - moved) + moved) < IN_POSITION

    def _along(self, places_nm: Float64) -> Float64:
        """Return the coordinates [n, 3] of places along the three vectors."""
        return np.asarray((places_nm - self.origin_nm) @ np.linalg.inv(self.vectors_nm), np.float64)

    def _sites(self, along: Float64) -> Float64:
        """Return the coordinates [n, 3] of the nearest sites in the plane of each place."""
        moved = self._shifts(along)
        return np.round(along - moved) + moved

    def _shifts(self, along: Float64) -> Float64:
        """Return how far the planes of places are shifted, [n, 3] along the vectors."""
        indices, shift = FAMILIES[self.family]
        plane = np.round(along @ indices).astype(np.intp) - self.first_plane
        return np.outer(self.positions[np.clip(plane, 0, len(self.positions) - 1)], shift)

    def _distance(self, along: Float64, sites: Float64) -> Float64:
        off_nm = np.linalg.norm((along - sites) @ self.vectors_nm, axis=1)
        return np.asarray(off_nm / self.bond_nm, np.float64)


def likely_positions(held: Float64, fault_weight: float) -> tuple[NDArray[np.intp], float]:
    """Return the positions [planes] that hold most particles, less a weight for each fault.

    The sequence is found by the Viterbi algorithm. At a growth fault the order of the planes turns
    round, at a deformation fault one step is in the other order. No two neighbouring planes are in
    the same position.

    Parameters
    ----------
    held
        [planes, 3], weight of the particles in each of the three positions.
    fault_weight
        Weight that a fault must gain.

    Returns
    -------
    positions, score
        The score is the weight of all particles in these positions, less that of the faults.
    """
    position, order = (each.ravel() for each in np.meshgrid(range(3), (REGULAR, REVERSED)))
    step = (position[None, :] - position[:, None]) % 3
    same = order[None, :] == order[:, None]
    cost = np.where(same & (step == order[:, None]), 0.0, np.inf)
    cost[same & (step == 1 - order[:, None])] = fault_weight
    cost[~same & (step == order[None, :])] = fault_weight
    score: Float64 = np.asarray(held[0][position], np.float64)
    came_from = []
    for plane in held[1:]:
        through = score[:, None] - cost
        came_from.append(through.argmax(axis=0))
        score = np.asarray(through.max(axis=0) + plane[position], np.float64)
    states = [int(score.argmax())]
    for earlier in reversed(came_from):
        states.append(int(earlier[states[-1]]))
    return position[states[::-1]], float(score.max())
