"""Found positions made from true ones: displaced, some missed, some false."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

Array = np.ndarray


def found_positions(
    true_nm: Array,
    *,
    seed: int = 0,
    errors_nm: tuple[float, float, float] = (0.15, 0.15, 0.25),
    missed: float = 0.015,
    false: float = 0.015,
    diameter_nm: float = 6.3,
) -> Array:
    """Return positions [n, 3] as a reconstruction finds them.

    Parameters
    ----------
    errors_nm
        Standard deviations of x, y and z; z is along the beam.
    missed, false
        Shares of the particles that are not found, and that are found where there is none. False
        ones lie inside the assembly, 0.7 diameters or more from every other.
    """
    rng = np.random.default_rng(seed)
    kept = true_nm[rng.random(len(true_nm)) >= missed]
    found = kept + rng.normal(0.0, 1.0, kept.shape) * errors_nm
    tree, places = cKDTree(found), []
    while len(places) < round(false * len(true_nm)):
        place = rng.uniform(found.min(axis=0), found.max(axis=0))
        distance = tree.query(place, 12)[0]
        if distance[0] > 0.7 * diameter_nm and distance[-1] < 2.0 * diameter_nm:
            places.append(place)
    return np.vstack([found, np.reshape(places, (-1, 3))])
