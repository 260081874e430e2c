"""Rotation of the scan against the stage, from the assemblies on low-dose maps.

The stage moves almost half a map, and all assemblies that stay in view tell how the images move:
far more exact than short moves with one assembly, as in `check_scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from controller.hardware.interface import Frame
from controller.model.scan import ScanSettings, along_stage
from controller.procedures.flip.maps import TOLERANCE_PX
from controller.procedures.flip.scan_axes import ScanAxes, axes_of_moves
from controller.procedures.flip.survey_grid import whole_landmarks
from processing.images.landmarks import shifts_by_moves

STEP_FRACTION = 0.4
"""Length of a stage move, as a fraction of the map: an assembly in the middle stays in view."""
LARGEST_UNNOTICED_DEG = 3.0
"""Largest rotation accepted. A larger one has targets refused after the flip, which doubles it."""
CERTAIN = 9.92
"""Rotation that is certain, in its standard errors: Student's t of two degrees of freedom, 99 %."""

ImageAt = Callable[[float, float], Frame]
"""Moves the stage to (x, y), nm, and takes a map."""


def measure_rotation(
    image_at: ImageAt, place_nm: tuple[float, float], scan: ScanSettings, tilt_axis_deg: float
) -> ScanAxes | None:
    """Take three maps around a place, and compare the moves of the stage with those of the images.

    Parameters
    ----------
    place_nm
        Stage position (x, y) at which an assembly lies near the middle of a map.
    scan
        Scan of a map.
    tilt_axis_deg
        Direction of the tilt axis in the images by the protocol.

    Returns
    -------
    ScanAxes or None
        None if no assembly is recognised on all three maps.
    """
    x_nm, y_nm = place_nm
    step_nm = STEP_FRACTION * scan.pixel_nm * min(scan.width_px, scan.height_px)
    half_nm = step_nm / 2
    # each axis is moved once and upwards: backlash does not change the direction of the move
    corners = ((-half_nm, -half_nm), (half_nm, -half_nm), (half_nm, half_nm))
    maps = [image_at(x_nm + dx_nm, y_nm + dy_nm) for dx_nm, dy_nm in corners]
    seen = [whole_landmarks(each) for each in maps]
    shifts_nm = shifts_by_moves(seen, step_nm, TOLERANCE_PX * scan.pixel_nm)
    if shifts_nm is None:
        return None
    found_nm = [along_stage((x, y), tilt_axis_deg) for x, y in shifts_nm]
    stages_nm = [(each.info.stage.x_nm, each.info.stage.y_nm) for each in maps]
    stage_nm = np.diff(stages_nm, axis=0).T
    axes = axes_of_moves(np.array(found_nm).T, stage_nm, step_nm, tilt_axis_deg)
    if axes is None:
        return None
    limit_deg = max(LARGEST_UNNOTICED_DEG, CERTAIN * axes.rotation_error_deg)
    return replace(axes, limit_deg=limit_deg)
