"""Envelope of an assembly: a sphere whose side on the film is flat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.settings import SpecimenSettings

Array = NDArray[np.float64]


def inside_assembly(points_nm: Array, settings: SpecimenSettings) -> NDArray[np.bool_]:
    """Return which points [n, 3] lie inside the flattened sphere: a mask [n]."""
    radius = settings.assembly_diameter_nm / 2.0
    below_film = points_nm[:, 2] <= film_height_nm(settings)
    return np.asarray((np.linalg.norm(points_nm, axis=1) <= radius) & below_film)


def film_height_nm(settings: SpecimenSettings) -> float:
    """Height of the flat side above the centre of the envelope."""
    return settings.assembly_diameter_nm * (0.5 - settings.flattening)
