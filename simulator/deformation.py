"""Deformation of an assembly under the beam: shrinkage, collapse, uneven shrinkage and lean.

All parts grow with the dose in the same way. Positions change in proportion to the share of the
final deformation, so that the mean shape of a series is the shape at the mean share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.settings import SpecimenSettings

Array = NDArray[np.float64]


def share_reached(dose_e_per_A2: float, settings: SpecimenSettings) -> float:
    """Return the share of the final deformation after a dose: 1 - exp(-dose / d0)."""
    return float(-np.expm1(-dose_e_per_A2 / settings.shrinkage_dose_e_per_A2))


def relative_size(share: float, settings: SpecimenSettings) -> float:
    """Return the mean size at a share of the final deformation, divided by the size before it."""
    return 1.0 - settings.shrinkage * share


def deformed(centres_nm: Array, share: float, settings: SpecimenSettings) -> Array:
    """Return the particle centres [n, 3] at a share of the final deformation, from 0 to 1.

    Parameters
    ----------
    centres_nm
        Centres before any dose, as (x, y, z) from the centre of the envelope.
    """
    height_nm = centres_nm[:, 2:]
    moved = -settings.shrinkage * centres_nm
    moved[:, 2:] -= settings.collapse * height_nm
    moved[:, :2] += height_nm * settings.lean
    # a linear change of the shrinkage, alike in all directions, is a special conformal map
    change_per_nm = np.array(settings.uneven_shrinkage) / settings.assembly_diameter_nm
    along_nm = (centres_nm @ change_per_nm)[:, None]
    squares_nm2 = (centres_nm**2).sum(axis=1, keepdims=True)
    moved -= along_nm * centres_nm - squares_nm2 / 2 * change_per_nm
    return np.asarray(centres_nm + share * moved)
