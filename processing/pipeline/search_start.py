"""Start of a search for particles from an earlier result of nearly the same images.

A growing series is searched again and again. Reconstruction and sparse spheres continue from the
volumes of the search before: both are iterations that approach one solution, so the particles that
new images show appear in them as well. The fit starts from the fitted places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from processing.combine.register import RegistrationResult
from processing.count.particles import Clusters
from processing.series import Float32, Float64

SIRT_ITERATIONS = 6
"""Iterations of SIRT from an earlier volume."""
SSR_ITERATIONS = 12
"""Iterations of the sparse spheres from earlier ones."""
FIT_ROUNDS = 1
"""Rounds of the fit from fitted places."""
SAME_DIAMETER = 0.02
"""Largest relative difference of two estimates of the diameter that confirm each other."""
SAME_PLACE = 0.25
"""Largest distance of a candidate and the particle that it is, in diameters."""


@dataclass(frozen=True, eq=False)
class SearchStart:
    """Earlier result of nearly the same images, in the frame and at the pixel size of the new ones.

    Attributes
    ----------
    volume
        SIRT reconstruction, [z, y, x].
    centres
        Sphere-centre volume, [z, y, x].
    particles_nm
        Fitted centres of the particles, [n, 3] as (x, y, z).
    diameter_nm
        Their diameter.
    """

    volume: Float32
    centres: Float32
    particles_nm: Float64
    diameter_nm: float

    def holds_for(self, diameter_nm: float) -> bool:
        """Return true if spheres of this diameter can start from those found."""
        return abs(diameter_nm / self.diameter_nm - 1) <= SAME_DIAMETER


@dataclass(frozen=True, eq=False)
class PairStart:
    """Pose and earlier search of both series, before the particles of B are fitted.

    Attributes
    ----------
    registration
        Registration of B onto A, with the particles of B known now.
    search
        Search of an earlier fused volume, of the same A and fewer images of B, and the particles of
        both series, in the frame of A; None before the first.
    """

    registration: RegistrationResult
    search: SearchStart | None

    def search_for(self, diameter_nm: float) -> SearchStart | None:
        """Return the search; None if spheres of this diameter cannot start from those found."""
        return self.search if self.search and self.search.holds_for(diameter_nm) else None


def at_fitted_places(candidates: Clusters, known_px: Float64, diameter_px: float) -> Clusters:
    """Move each candidate that is a known particle [n, 3] to its fitted place."""
    if not len(known_px) or not len(candidates.weight):
        return candidates
    distance_px, nearest = cKDTree(known_px).query(candidates.centres_px)
    same = (distance_px < SAME_PLACE * diameter_px)[:, None]
    return replace(candidates, centres_px=np.where(same, known_px[nearest], candidates.centres_px))
