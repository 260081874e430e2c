"""Check that the scan is neither mirrored nor rotated: the image must move with the stage.

An unflipped grid under a scan mirrored left to right gives the same images as a flipped grid, at
every tilt: u = -(x cos t + z sin t) equals the flip's -x cos t - z sin t. If the in-plane angle is
unknown, images alone cannot tell the two apart. Stage moves along x and y can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.scan import ScanSettings, along_stage
from controller.model.stage import StagePosition
from controller.model.survey import MAP_FIELDS, WIDE
from controller.procedures.context import Context
from controller.procedures.flip.maps import wide_scan
from controller.procedures.flip.scan_axes import ScanAxes, axes_of_moves
from controller.procedures.tracking.locate import locate_object

STEP_FRACTION = 0.15
"""Length of a stage move, as a fraction of the field of view."""


def measure_scan_axes(context: Context, step_id: str) -> ScanAxes | None:
    """Move the stage along x, then along y, and measure how the image moves; then move back.

    A wide field shows the whole object at every position, and its steps are far larger than the
    stage's errors. Each axis is moved once and upwards: backlash then shortens the move but does
    not change its direction.

    Returns
    -------
    ScanAxes or None
        None if the object is not found in all three low-dose shots, or the stage hardly moved.
    """
    stage, axis_deg = context.microscope.stage(), context.protocol.column.tilt_axis_deg
    for field in (WIDE, MAP_FIELDS["low"]):
        scan = wide_scan(context.protocol, context.microscope.description, field)
        step_nm = STEP_FRACTION * scan.pixel_nm * min(scan.width_px, scan.height_px)
        low_x, high_x = stage.x_nm - step_nm / 2, stage.x_nm + step_nm / 2
        low_y, high_y = stage.y_nm - step_nm / 2, stage.y_nm + step_nm / 2
        targets = [
            stage.model_copy(update={"x_nm": x, "y_nm": y})
            for x, y in ((low_x, low_y), (high_x, low_y), (high_x, high_y))
        ]
        locations = [_located(context, step_id, target, scan) for target in targets]
        context.microscope.move(step_id, stage)
        found = [located for located in locations if located is not None]
        if len(found) < len(targets):
            continue
        positions_nm = [along_stage(located.object_nm, axis_deg) for located in found]
        image_nm = np.diff(positions_nm, axis=0).T
        stage_nm = np.diff([located.stage_nm for located in found], axis=0).T
        if axes := axes_of_moves(image_nm, stage_nm, step_nm, axis_deg):
            return axes
    return None


@dataclass(frozen=True)
class _Located:
    """Object in one shot: its (x, y) from the image centre, and (x, y) of the stage, nm.

    The stage is where it was during the shot. A session resumed in the middle of the check gets the
    shot that it had requested before, from another position than it asks for now.
    """

    object_nm: tuple[float, float]
    stage_nm: NDArray[Any]


def _located(
    context: Context, step_id: str, target: StagePosition, scan: ScanSettings
) -> _Located | None:
    """Take a shot and locate the object; None if there is none."""
    context.microscope.move(step_id, target)
    shot = context.microscope.acquire(step_id, "scan", scan)
    context.microscope.charge_unkept(shot)
    location = locate_object(shot.pixels, shot.info.scan.pixel_nm / context.protocol.scan.pixel_nm)
    if location is None:
        return None
    stage, pixel_nm = shot.info.stage, shot.info.scan.pixel_nm
    y_px, x_px = location.offset_px
    return _Located((x_px * pixel_nm, y_px * pixel_nm), np.array([stage.x_nm, stage.y_nm]))
