"""Stage positions and their soft limits."""

from __future__ import annotations

from controller.model.base import Data, Finite, Positive


class StagePosition(Data):
    """Tilt angle and shifts of the stage, read back or requested."""

    alpha_deg: Finite = 0.0
    x_nm: Finite = 0.0
    y_nm: Finite = 0.0
    z_nm: Finite = 0.0


class StageLimits(Data):
    """Soft limits of the stage, inclusive."""

    alpha_min_deg: Finite = -80.0
    alpha_max_deg: Finite = 80.0
    xy_max_nm: Positive = 1.0e6
    z_max_nm: Positive = 4.0e5
