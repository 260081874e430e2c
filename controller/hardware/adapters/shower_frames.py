"""A beam shower by a probe that only scans: frames over the field, one after the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

from controller.hardware.interface import OutOfLimitsError
from controller.model.scan import FLYBACK_FRACTION, ScanSettings

LONGEST_FRAME_S = 5.0


@dataclass(frozen=True)
class ShowerFrames:
    """`count` frames with these settings make up the shower."""

    scan: ScanSettings
    count: int


def shower_frames(
    duration_s: float,
    field_nm: float,
    sizes_px: tuple[tuple[int, int], ...],
    shortest_dwell_us: float,
) -> ShowerFrames:
    """Cut a shower into frames of equal length that together last `duration_s`, flyback included.

    The finest raster is taken that the dwell time allows: lines further apart than the probe is
    wide leave the specimen between them unexposed.

    Parameters
    ----------
    duration_s, field_nm
        Of the shower; the field is square.
    sizes_px
        (height, width) pairs on offer.
    shortest_dwell_us
        The column's.

    Raises
    ------
    OutOfLimitsError
        For a duration or field not above 0, or one too short for any raster.
    """
    if not (0.0 < duration_s < math.inf and 0.0 < field_nm < math.inf):
        raise OutOfLimitsError(
            f"a shower of {duration_s:g} s on {field_nm:g} nm: both must be above 0"
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
        f"a shower of {duration_s:g} s is too short for one frame at {shortest_dwell_us:g} us"
    )
