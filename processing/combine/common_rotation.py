"""Rotation that all targets of one grid have in common, and the targets that deviate from it.

A grid is rigid: the flip turns all its assemblies alike, in the plane and in its seat. The
particles of each target give its own rotation, to a few tenths of a degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from processing.combine.pose import in_plane_and_seat_deg, seat_slopes
from processing.series import Float64

LARGEST_DEVIATION_DEG = 1.0
"""Largest angle between the rotation of a target and the common one."""
FEWEST_ALIKE = 3
"""Smallest number of targets that show the common rotation."""


@dataclass(frozen=True)
class CommonRotation:
    """Rotation of most targets.

    Attributes
    ----------
    in_plane_deg, seat_tilt_deg
        Angles of p_B = Rz(phi) . Rseat . F . p_A (degrees).
    slopes
        Rise of the flipped grid along x and y by its seat tilt, nm for each nm.
    deviations_deg
        Angle between the rotation of each target and the common one (degrees).
    """

    in_plane_deg: float
    seat_tilt_deg: float
    slopes: tuple[float, float]
    deviations_deg: tuple[float, ...]

    @property
    def agrees(self) -> tuple[bool, ...]:
        """True for each target that shows the common rotation."""
        return tuple(each <= LARGEST_DEVIATION_DEG for each in self.deviations_deg)


def find_common_rotation(matrices: Sequence[Float64]) -> CommonRotation | None:
    """Find the rotation that more than half of the targets have, three at least.

    Parameters
    ----------
    matrices
        Rotation [3, 3] from B to A of each target.

    Returns
    -------
    CommonRotation or None
        None if the rotations of no such group agree.
    """
    if len(matrices) < FEWEST_ALIKE:
        return None
    rotations = Rotation.from_matrix(np.array(matrices))
    between_deg = np.array([_angles_deg(rotations, one) for one in rotations])
    middle = int(np.argmin(np.median(between_deg, axis=1)))
    alike = between_deg[middle] <= LARGEST_DEVIATION_DEG
    if np.count_nonzero(alike) < FEWEST_ALIKE or 2 * np.count_nonzero(alike) <= len(matrices):
        return None
    common = rotations[alike].mean()
    matrix = common.as_matrix()
    in_plane_deg, seat_tilt_deg = in_plane_and_seat_deg(matrix)
    deviations_deg = tuple(float(each) for each in _angles_deg(rotations, common))
    return CommonRotation(in_plane_deg, seat_tilt_deg, seat_slopes(matrix), deviations_deg)


def _angles_deg(rotations: Rotation, one: Rotation) -> Float64:
    """Return the angle between each of several rotations and another one."""
    return np.asarray(np.degrees((one.inv() * rotations).magnitude()), np.float64)
