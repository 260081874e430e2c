"""Are the scan's settings those of before? The stage tells: the image must move as it does.

A grid put back as it was, under a scan mirrored left to right, gives the very images of a flipped
one, at every tilt: u = -(x cos t + z sin t) is the flip's -x cos t - z sin t. Images alone cannot
tell the two apart where the in-plane angle is unknown. A stage that is told to move along x can.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.model.exposures import MAP_FIELDS, WIDE
from controller.model.scan import ScanSettings
from controller.model.stage import StagePosition
from controller.procedures.context import Context
from controller.procedures.flip.maps import wide_scan
from controller.procedures.tracking.locate import sight

STEP_FRACTION = 0.15
"""Of the field of view: how far the stage is moved for a look."""
TURNED_DEG = 20.0
"""Less is not told from noise: the shots are short, and the stage's steps are not exact."""


@dataclass(frozen=True)
class ScanLook:
    """How the image moves when the stage does.

    Attributes
    ----------
    matrix
        [(x, y) of the image, (x, y) of the stage]; the identity where all is as agreed.
    """

    matrix: NDArray[Any]

    @property
    def fault(self) -> str:
        """What is wrong with the scan, in words; empty where nothing is."""
        if np.linalg.det(self.matrix) < 0:
            return "the scan is mirrored"
        turned_deg = float(np.degrees(np.arctan2(*(self.matrix[::-1, 0]))))
        if abs(turned_deg) > TURNED_DEG:
            return f"the scan is turned by about {round(turned_deg, -1) % 360:.0f} degrees"
        return ""


def look_at_scan(context: Context, step_id: str) -> ScanLook | None:
    """Move the stage a little along x, then along y, and see what the image does; then back.

    A wide field has all of the object in it at every place, and steps far above the stage's errors.
    Each axis is moved once and upwards: what backlash takes of a move is then along it, not beside.

    Returns
    -------
    ScanLook or None
        None where the object is not seen in all three low-dose shots.
    """
    stage = context.microscope.stage()
    for field in (WIDE, MAP_FIELDS["low"]):
        scan = wide_scan(context, field)
        step_nm = STEP_FRACTION * scan.pixel_nm * min(scan.width_px, scan.height_px)
        low_x, high_x = stage.x_nm - step_nm / 2, stage.x_nm + step_nm / 2
        low_y, high_y = stage.y_nm - step_nm / 2, stage.y_nm + step_nm / 2
        places = [
            stage.model_copy(update={"x_nm": x, "y_nm": y})
            for x, y in ((low_x, low_y), (high_x, low_y), (high_x, high_y))
        ]
        seen = [_seen_nm(context, step_id, place, scan) for place in places]
        context.microscope.move(step_id, stage)
        found = [place for place in seen if place is not None]
        if len(found) == len(places):
            start, along_x, along_y = found
            return ScanLook(np.column_stack([along_x - start, along_y - along_x]) / step_nm)
    return None


def _seen_nm(
    context: Context, step_id: str, place: StagePosition, scan: ScanSettings
) -> NDArray[Any] | None:
    """(x, y) of the object from the image's centre, nm."""
    context.microscope.move(step_id, place)
    shot = context.microscope.acquire(step_id, "scan", scan)
    context.microscope.settle(shot)
    sighting = sight(shot.pixels)
    if sighting is None:
        return None
    return np.array(sighting.offset_px[::-1]) * scan.pixel_nm
