"""Sites of the lattices that are known in an assembly, and the places that belong to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing.count.stacked_lattice import ON_SITE, StackedLattice
from processing.series import Bools, Float64

REACH = 0.75
"""Distance from a place in which its sites are, in bonds. In a close packing no place is farther
than 0.71 from a site."""


@dataclass(frozen=True, eq=False)
class KnownSites:
    """Lattices of an assembly, and the distances of places from their sites.

    Attributes
    ----------
    lattices
        One for each grain; a single crystal has one.
    own
        [n], number of the lattice to which each place belongs.
    off_site
        [n], distance from the nearest site of this lattice, in bonds; NaN where a place belongs to
        no known lattice.
    in_grains
        True if the assembly has several grains.
    """

    lattices: tuple[StackedLattice, ...]
    own: NDArray[np.intp]
    off_site: Float64
    in_grains: bool

    @property
    def beside(self) -> Bools:
        """True for each place [n] that lies beside the sites of its lattice."""
        return np.asarray(self.off_site > ON_SITE, bool)

    def sites_around(self, places_nm: Float64, chosen: Bools) -> Float64:
        """Return the sites [m, 3] around the chosen places, of their own lattices.

        Parameters
        ----------
        places_nm
            [n, 3], the places.
        chosen
            [n], true for those chosen.
        """
        found = [np.zeros((0, 3))]
        for number, lattice in enumerate(self.lattices):
            around_nm = places_nm[chosen & (self.own == number)]
            if len(around_nm):
                reach_nm = REACH * lattice.bond_nm
                low, high = around_nm.min(axis=0) - reach_nm, around_nm.max(axis=0) + reach_nm
                sites_nm = lattice.sites_between(low, high)
                found.append(sites_nm[cKDTree(around_nm).query(sites_nm)[0] < reach_nm])
        return np.vstack(found)
