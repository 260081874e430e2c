"""Single particles that lie on the film between the assemblies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.settings import SpecimenSettings
from simulator.specimen import Particles, film_height_nm

REACH_NM = 2500.0
"""Half the side of the square, about the first assembly, that they lie in."""
CLEARANCE = 0.75
"""Of an assembly's diameter: nearer to its centre there are none."""
_STREAM = 0x57A7


def make_stray(settings: SpecimenSettings, seed: int, places_nm: NDArray[np.float64]) -> Particles:
    """Scatter particles over the film, in the grid's frame.

    Parameters
    ----------
    places_nm
        Centres [m, 3] of the assemblies, which they keep clear of.
    """
    rng = np.random.default_rng([seed, _STREAM])
    n = rng.poisson(settings.stray_particles_per_um2 * (2.0 * REACH_NM / 1000.0) ** 2)
    spread = 1.0 + settings.size_spread * np.clip(rng.standard_normal(n), -2.5, 2.5)
    diameters = settings.particle_diameter_nm * spread
    under_the_film = film_height_nm(settings) - diameters / 2.0
    centres = np.column_stack([rng.uniform(-REACH_NM, REACH_NM, (n, 2)), under_the_film])
    apart = np.linalg.norm(centres[:, None, :2] - places_nm[None, :, :2], axis=2)
    clear = (apart > CLEARANCE * settings.assembly_diameter_nm).all(axis=1)
    return Particles(centres[clear], diameters[clear])
