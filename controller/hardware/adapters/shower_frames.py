"""Beam shower with a scanning probe: a sequence of frames over the field."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.hardware.interface import OutOfLimitsError
from controller.model.scan import FLYBACK_FRACTION, ScanSettings

LONGEST_FRAME_S = 5.0


@dataclass(frozen=True)
class ShowerFrames:
    """Frames of a shower: `count` frames with the same scan."""

    scan: ScanSettings
    count: int


def shower_frames(
    duration_s: float,
    field_nm: float,
    sizes_px: tuple[tuple[int, int], ...],
    shortest_dwell_us: float,
) -> ShowerFrames:
    """Divide a shower into equal frames that together last `duration_s`, flyback included.

    The raster is the finest one that the dwell time allows: if the lines are further apart than the
    probe is wide, the specimen between them is not exposed.

    Parameters
    ----------
    duration_s, field_nm
        Duration of the shower and side of its square field.
    sizes_px
        (height, width) pairs on offer.
    shortest_dwell_us
        Shortest dwell time of the column.

    Raises
    ------
    OutOfLimitsError
        If duration or field is not above 0, or the duration is too short for any raster.
    """
    if not (0.0 < duration_s < math.inf and 0.0 < field_nm < math.inf):
        raise OutOfLimitsError(
            f"shower of {duration_s:g} s on a field of {field_nm:g} nm: both must be above 0"
        )
    count = math.ceil(duration_s / LONGEST_FRAME_S)
    scanning_us = duration_s / count / (1.0 + FLYBACK_FRACTION) * 1e6
    for side in sorted((h for h, w in sizes_px if h == w), reverse=True):
        dwell_us = scanning_us / side**2
        if dwell_us >= shortest_dwell_us:
            scan = ScanSettings(
                width_px=side, height_px=side, pixel_nm=field_nm / side, dwell_us=dwell_us
            )
            return ShowerFrames(scan, count)
    raise OutOfLimitsError(
        f"shower of {duration_s:g} s: too short for one frame with a dwell of "
        f"{shortest_dwell_us:g} us"
    )
