"""Axes of the scan against those of the stage: mirrored, rotated, and by how much; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ROTATION_DEG = 20.0
"""Largest rotation accepted where moves are short: the shots are noisy and the stage's steps are
not exact."""
LEAST_AREA = 0.25
"""Smallest area between the two stage moves that tells the axes, in squared moves."""


@dataclass(frozen=True)
class ScanAxes:
    """Movement of the image per movement of the stage.

    Attributes
    ----------
    matrix
        [(x, y) of the image across and along the tilt axis of the protocol, (x, y) of the stage];
        the identity for a correct scan.
    tilt_axis_deg
        Direction of the tilt axis in the images by the protocol.
    limit_deg
        Largest rotation that is no fault (degrees), by the precision of the measurement.
    """

    matrix: NDArray[Any]
    tilt_axis_deg: float = 0.0
    limit_deg: float = MAX_ROTATION_DEG

    @property
    def fault(self) -> str:
        """Fault of the scan, in words; empty if there is none."""
        if np.linalg.det(self.matrix) < 0:
            return "the scan is mirrored"
        if abs(self.rotation_deg) > self.limit_deg:
            return f"the scan is rotated by about {self._rounded(self.rotation_deg) % 360} degrees"
        return ""

    @property
    def remedy(self) -> str:
        """Remedy of the fault before anything is recorded, in words."""
        if np.linalg.det(self.matrix) < 0:
            return "mirror it back"
        axis_deg = (self.tilt_axis_deg + self.rotation_deg + 180) % 360 - 180
        return f"rotate it back, or set column.tilt_axis_deg = {self._rounded(axis_deg)}"

    @property
    def rotation_deg(self) -> float:
        """Rotation of the scan against the protocol, -180 to 180 degrees."""
        (xx, xy), (yx, yy) = self.matrix
        return float(np.degrees(np.arctan2(yx - xy, xx + yy)))

    @property
    def rotation_error_deg(self) -> float:
        """Standard error of the rotation, from how far the moves are from those of any rotation."""
        (xx, xy), (yx, yy) = self.matrix
        off, scale = np.hypot(xx - yy, yx + xy), np.hypot(xx + yy, yx - xy)
        return float(np.degrees(off / np.sqrt(2) / max(scale, 1e-9)))

    def _rounded(self, angle_deg: float) -> int:
        """Round an angle to what the measurement can tell."""
        unit_deg = 1 if self.limit_deg < MAX_ROTATION_DEG else 10
        return round(angle_deg / unit_deg) * unit_deg


def axes_of_moves(
    image_nm: NDArray[Any], stage_nm: NDArray[Any], step_nm: float, tilt_axis_deg: float
) -> ScanAxes | None:
    """Compare two moves of the image with those of the stage; None if the stage hardly moved.

    Parameters
    ----------
    image_nm, stage_nm
        Moves as columns, [(x, y), move]; those of the image across and along the tilt axis.
    step_nm
        Length of a move that was asked for.
    tilt_axis_deg
        Direction of the tilt axis in the images by the protocol.
    """
    if abs(np.linalg.det(stage_nm)) < LEAST_AREA * step_nm**2:
        return None
    return ScanAxes(image_nm @ np.linalg.inv(stage_nm), tilt_axis_deg)
