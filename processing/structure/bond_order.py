"""Steinhardt's bond order parameters of every particle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.parallel import worker_threads
from processing.series import Float64
from processing.structure.neighbours import BOX_MARGIN, Neighbours, system_of


@dataclass(frozen=True, eq=False)
class BondOrder:
    """Bond order parameters, each [n]; NaN for a particle without neighbours.

    Attributes
    ----------
    q4, q6
        Of the particle's own neighbours (Steinhardt et al. 1983).
    mean_q4, mean_q6
        Averaged over the particle and its neighbours (Lechner and Dellago 2008).
    mean_w4, mean_w6
        Third-order invariants of the averaged ones, normalised.
    """

    q4: Float64
    q6: Float64
    mean_q4: Float64
    mean_q6: Float64
    mean_w4: Float64
    mean_w6: Float64


def bond_order(centres_nm: Float64, neighbours: Neighbours) -> BondOrder:
    """Return the bond order parameters of centres [n, 3] with known neighbours."""
    from freud.locality import NeighborList
    from freud.order import Steinhardt
    from freud.parallel import NumThreads

    system = system_of(centres_nm, BOX_MARGIN * neighbours.spacing_nm)
    points = system[1]
    here, there = neighbours.pairs.T
    bonds = NeighborList.from_arrays(
        len(points), len(points), here, there, points[there] - points[here]
    )

    own, averaged = Steinhardt([4, 6]), Steinhardt([4, 6], average=True, wl=True, wl_normalize=True)
    with NumThreads(worker_threads()):
        own.compute(system, neighbors=bonds)
        averaged.compute(system, neighbors=bonds)
    numbers = np.column_stack([own.ql, averaged.ql, averaged.particle_order])
    return BondOrder(*np.asarray(numbers.T, np.float64))
