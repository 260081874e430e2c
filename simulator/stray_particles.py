"""Single particles that lie on the film between the assemblies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from simulator.envelope import film_height_nm
from simulator.settings import SpecimenSettings
from simulator.specimen import Particles, solid_of

HALF_SIDE_NM = 2500.0
"""Half the side of the square around the first assembly that holds the particles."""
CLEARANCE_FRACTION = 0.75
"""Smallest distance from the centre of an assembly, divided by its diameter."""
_STREAM = 0x57A7


def scatter_stray_particles(
    settings: SpecimenSettings, seed: int, assembly_positions_nm: NDArray[np.float64]
) -> Particles:
    """Scatter single particles over the film, in the frame of the grid.

    Parameters
    ----------
    assembly_positions_nm
        Centres [m, 3] of the assemblies; no particle lies near them.
    """
    rng = np.random.default_rng([seed, _STREAM])
    number = rng.poisson(settings.stray_particles_per_um2 * (2.0 * HALF_SIDE_NM / 1000.0) ** 2)
    relative = 1.0 + settings.size_spread * np.clip(rng.standard_normal(number), -2.5, 2.5)
    diameters = settings.particle_diameter_nm * relative
    heights_nm = film_height_nm(settings) - diameters / 2.0
    centres = np.column_stack([rng.uniform(-HALF_SIDE_NM, HALF_SIDE_NM, (number, 2)), heights_nm])
    distances_nm = np.linalg.norm(centres[:, None, :2] - assembly_positions_nm[None, :, :2], axis=2)
    clear = (distances_nm > CLEARANCE_FRACTION * settings.assembly_diameter_nm).all(axis=1)
    solid = solid_of(settings)
    turned = None if solid is None else Rotation.random(1 + number, random_state=rng).as_quat()[1:]
    return Particles(centres, diameters, turned, solid).select(clear)
