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

from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.model.survey import MAP_FIELDS, WIDE
from controller.procedures.context import Context
from controller.procedures.flip.maps import wide_scan
from controller.procedures.tracking.locate import locate_object

STEP_FRACTION = 0.15
"""Length of a stage move, as a fraction of the field of view."""
MAX_ROTATION_DEG = 20.0
"""Largest rotation accepted: the shots are noisy and the stage's steps are not exact."""


@dataclass(frozen=True)
class ScanAxes:
    """Movement of the image per movement of the stage.

    Attributes
    ----------
    matrix
        [(x, y) of the image, (x, y) of the stage]; the identity for a correct scan.
    """

    matrix: NDArray[Any]

    @property
    def fault(self) -> str:
        """Fault of the scan, in words; empty if there is none."""
        if np.linalg.det(self.matrix) < 0:
            return "the scan is mirrored"
        turned_deg = float(np.degrees(np.arctan2(*(self.matrix[::-1, 0]))))
        if abs(turned_deg) > MAX_ROTATION_DEG:
            return f"the scan is rotated by about {round(turned_deg, -1) % 360:.0f} degrees"
        return ""


def measure_scan_axes(context: Context, step_id: str) -> ScanAxes | None:
    """Move the stage along x, then along y, and measure how the image moves; then move back.

    A wide field shows the whole object at every position, and its steps are far larger than the
    stage's errors. Each axis is moved once and upwards: backlash then shortens the move but does
    not change its direction.

    Returns
    -------
    ScanAxes or None
        None if the object is not found in all three low-dose shots.
    """
    stage = context.microscope.stage()
    for field in (WIDE, MAP_FIELDS["low"]):
        scan = wide_scan(context, field)
        step_nm = STEP_FRACTION * scan.pixel_nm * min(scan.width_px, scan.height_px)
        low_x, high_x = stage.x_nm - step_nm / 2, stage.x_nm + step_nm / 2
        low_y, high_y = stage.y_nm - step_nm / 2, stage.y_nm + step_nm / 2
        targets = [
            stage.model_copy(update={"x_nm": x, "y_nm": y})
            for x, y in ((low_x, low_y), (high_x, low_y), (high_x, high_y))
        ]
        offsets_nm = [_object_nm(context, step_id, target, scan) for target in targets]
        context.microscope.move(step_id, stage)
        found = [offset_nm for offset_nm in offsets_nm if offset_nm is not None]
        if len(found) == len(targets):
            start, along_x, along_y = found
            return ScanAxes(np.column_stack([along_x - start, along_y - along_x]) / step_nm)
    return None


def _object_nm(
    context: Context, step_id: str, target: StagePosition, scan: ScanSettings
) -> NDArray[Any] | None:
    """Take a shot; return (x, y) of the object from the image centre, nm."""
    context.microscope.move(step_id, target)
    shot = context.microscope.acquire(step_id, "scan", scan)
    context.microscope.charge_unkept(shot)
    location = locate_object(shot.pixels)
    if location is None:
        return None
    return np.array(location.offset_px[::-1]) * scan.pixel_nm
