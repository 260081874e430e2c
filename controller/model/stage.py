"""Stage positions and their soft limits."""

from __future__ import annotations

from controller.model.base import Data, Finite, Positive, Settings

BACKLASH_DEG = 3.0
"""Distance from the backlash start to its tilt: the stage moves there first (degrees)."""


class StagePosition(Data):
    """Tilt angle and shifts of the stage, read back or requested."""

    alpha_deg: Finite = 0.0
    x_nm: Finite = 0.0
    y_nm: Finite = 0.0
    z_nm: Finite = 0.0


class StageLimits(Settings):
    """Soft limits of the stage, inclusive."""

    alpha_min_deg: Finite = -80.0
    """Lowest tilt angle (degrees)."""
    alpha_max_deg: Finite = 80.0
    """Highest tilt angle (degrees)."""
    xy_max_nm: Positive = 1.0e6
    """Largest shift in x and y, in either direction (nm)."""
    z_max_nm: Positive = 4.0e5
    """Largest shift in z, in either direction (nm)."""
