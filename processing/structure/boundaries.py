"""Misorientation of grains that touch, and twins among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from processing.structure.classify import FCC
from processing.structure.grains import Grains, Ints, touching_grains
from processing.structure.orientations import Pairs, misorientation
from processing.structure_results import Boundary

TWIN_DEG = 60.0
"""Rotation of an fcc twin about <111>."""
TWIN_WITHIN_DEG = 5.0
"""Largest deviation of a twin from this rotation, in angle and axis."""


def find_boundaries(
    grains: Grains, pairs: Pairs, structure: Ints, errors_deg: Sequence[float]
) -> list[Boundary]:
    """Return each two grains of one structure that touch, those with most contacts first.

    Parameters
    ----------
    errors_deg
        Errors of the grains' orientations.
    """
    touching = touching_grains(grains.number - 1, pairs, structure)
    found = [
        _boundary(grains, a, b, contacts, errors_deg)
        for (a, b), contacts in touching.items()
        if grains.structure[a] == grains.structure[b]
    ]
    return sorted(found, key=lambda boundary: -boundary.contacts)


def _boundary(
    grains: Grains, a: int, b: int, contacts: int, errors_deg: Sequence[float]
) -> Boundary:
    phase = grains.structure[a]
    first, second = grains.fits[a].rotation, grains.fits[b].rotation
    angles, turned = misorientation(first[None], second[None], phase)
    vector = Rotation.from_matrix(first.T @ turned[0]).as_rotvec()
    axis = vector / max(float(np.linalg.norm(vector)), 1e-12)
    # the errors are turns about all three axes: one third of their variance changes the angle
    error_deg = np.hypot(errors_deg[a], errors_deg[b]) / np.sqrt(3)
    return Boundary(
        grains=(a + 1, b + 1),
        misorientation_deg=float(angles[0]),
        misorientation_error_deg=float(error_deg),
        axis=(float(axis[0]), float(axis[1]), float(axis[2])),
        contacts=contacts,
        twin=phase == FCC and _is_twin(float(angles[0]), float(np.abs(axis).sum())),
    )


def _is_twin(angle_deg: float, axis_sum: float) -> bool:
    """Return true for 60 degrees about <111>; `axis_sum` is |x| + |y| + |z| of the unit axis."""
    off_axis_deg = np.rad2deg(np.arccos(min(1.0, axis_sum / np.sqrt(3))))
    return abs(angle_deg - TWIN_DEG) < TWIN_WITHIN_DEG and off_axis_deg < TWIN_WITHIN_DEG
